"""LoRETTA-on-Ray, the library: tensor-train adapters, zeroth-order trainers and the comparison of fine-tuning methods."""
