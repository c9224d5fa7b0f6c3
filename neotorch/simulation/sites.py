"""Further sites for a synthetic trial, where the study file has fewer."""

from __future__ import annotations

from typing import Any

from neotorch.domain.study import Study

SOURCE = "made for a synthetic trial"


def with_sites(study: Study, count: int) -> Study:
    """Return the study with `count` sites: its own, and then copies of its first one with that one's normal ranges.

    ValueError where the study has more sites than that.
    """
    body = study.definition
    body.pop("amendment", None)  # a trial that begins with the amended version knows no other
    own = len(body["sites"])
    if count < own:
        raise ValueError(f"the study file has {own} sites")
    first, taken = body["sites"][0], {s["code"] for s in body["sites"]}
    codes = [code for n in range(1, count + own + 1) if (code := f"S{n:02d}") not in taken][: count - own]
    body["sites"] += [_copy(first, code, n) for n, code in enumerate(codes, own + 1)]
    ranges: list[dict[str, Any]] = body["safety"]["normal_ranges"] if body.get("safety") else []
    ranges += [r | {"site": code} for code in codes for r in ranges if r["site"] == first["code"]]
    return Study.model_validate(body)


def _copy(site: dict[str, Any], code: str, number: int) -> dict[str, Any]:
    name = {"en": f"Synthetic site {number}", "zh": f"模拟中心{number}"}
    return site | {"code": code, "name": name, "source": SOURCE, "assumption": True}
