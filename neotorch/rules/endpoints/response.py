"""Objective response before surgery (RECIST 1.1, Eisenhauer et al., Eur J Cancer 2009;45:228-47) and breast conservation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from neotorch.domain import events as ev
from neotorch.domain.recist import Response, assessments
from neotorch.domain.state import PatientState
from neotorch.rules.endpoints.values import Status, Value, Verdict, of_verdict, source

ORDER: tuple[Response, ...] = ("CR", "PR", "SD", "PD", "NE")
RULE = (
    "RECIST 1.1, section 4.4: best overall response from the first dose to the operation or the first PD, unconfirmed"
)
CONSERVATION = "breast conservation: every operation by the cut was breast-conserving"


@dataclass(frozen=True)
class BestResponse:
    """The best overall response of one patient. `change_pct`: the deepest change of the sum from baseline, in per cent."""

    response: Response | None
    """None: nothing assessed yet."""
    on: date | None
    reason: str
    event_ids: tuple[str, ...]
    change_pct: float | None = None

    @property
    def objective(self) -> bool | None:
        """Whether it is a CR or PR; None where nothing was assessed."""
        return None if self.response in (None, "NE") else self.response in ("CR", "PR")


def best_response(state: PatientState, cut: date) -> BestResponse:
    """Return the best response over all timepoints; a timepoint without a sum counts as the site reported it."""
    if state.first_dose is None:
        return BestResponse(None, None, "no first dose", ())
    end = min(cut, state.surgery.occurred if state.surgery else cut)
    scans = tuple(f for f in state.of_type("imaging") if isinstance(f, ev.Imaging) and f.occurred <= end)
    by_id = {s.id: s for s in scans}
    found: list[BestResponse] = []
    for seen in assessments(scans, state.first_dose):
        scan = by_id[seen.event_id]
        if scan.response == "BASELINE" or seen.on <= state.first_dose:
            continue
        response, reason = (seen.response, seen.reason) if seen.response != "NE" else _reported(scan.response)
        found.append(BestResponse(response, seen.on, reason, (scan.id,), seen.from_baseline_pct))
        if response == "PD":
            break
    if not found:
        return BestResponse(None, None, "no imaging after the first dose by the cut", ())
    best = min(found, key=lambda f: ORDER.index(f.response or "NE"))  # the first of the best
    changes = [f.change_pct for f in found if f.change_pct is not None]
    return BestResponse(best.response, best.on, best.reason, best.event_ids, min(changes, default=None))


def _reported(told: Response) -> tuple[Response, str]:
    return told, f"{told} as the site reported it: there is no sum to derive it from"


def conservation(state: PatientState, cut: date) -> Verdict:
    """Return whether the breast was conserved: by all operations up to the cut, re-excisions included."""
    done = [s for s in state.surgeries if s.occurred <= cut]
    if not done:
        gone = next((s for s in (state.inoperable, state.death) if s and s.occurred <= cut), None)
        return (
            Verdict("not_evaluable", "never operated", (gone.id,)) if gone else Verdict("pending", "not operated yet")
        )
    ids = tuple(s.id for s in done)
    removed = next((s for s in done if s.breast == "mastectomy"), None)
    if removed:
        return Verdict("no", f"mastectomy on {removed.occurred}", ids)
    return Verdict("yes", f"breast-conserving surgery on {done[-1].occurred}", ids)


def response_values(state: PatientState, cut: date) -> tuple[Value, ...]:
    """Return best overall response and breast conservation with what stands behind them."""
    best, facts = best_response(state, cut), {f.id: f for f in state.facts}
    status: Status = "known" if best.response not in (None, "NE") else "not_evaluable" if best.response else "pending"
    behind = tuple(source(facts[i]) for i in best.event_ids)
    over = bool(state.surgery) or best.response == "PD"
    then = (
        "a correction of an imaging"
        if over
        else "the next imaging before the operation, where it shows a better response"
    )
    response = Value(
        "response", "best overall response", status, best.response or "pending", best.reason, RULE, then, behind, best.on,
        best.change_pct, "% of baseline",
    )  # fmt: skip
    kept = of_verdict(
        conservation(state, cut),
        state.facts,
        code="conservation",
        label="breast conserved",
        rule=CONSERVATION,
        would_change="a further operation",
    )
    return response, kept
