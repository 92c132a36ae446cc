"""The price of a run: the hours of its devices times the price of a device. Plans, budgets and verdicts all ask here.

usd = time · workers · GPUs of a worker · price of a device for an hour        a worker without a GPU is one device; on a quarter of a GPU it is a quarter
"""

from __future__ import annotations


def price_usd(seconds: float | None, *, workers: int, gpus: float, usd_per_hour: float | None) -> float | None:
    """Return the price of holding the workers of a run for so many seconds; None where the time or the price of a device is not known.

    Args:
        gpus: of one worker; 0 without a GPU.
        usd_per_hour: of one device, a GPU or else a worker.
    """
    return None if seconds is None or usd_per_hour is None else usd_per_hour * workers * (gpus or 1.0) * seconds / 3600
