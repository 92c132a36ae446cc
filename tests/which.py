"""A small sweep with [tune] and [replicate]: three contenders, three trials and three seeds each."""

SWEEP = """
[defaults]
model = "toy-bert"
task = "toy_sentiment"
[axes]
method = ["lora", "ft"]
trainer = ["adam", "zo_sgd"]
[[exclude]]
method = "ft"
trainer = "zo_sgd"
[tune]
trials = 3
[replicate]
seeds = 3
"""
