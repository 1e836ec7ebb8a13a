"""Keep the reference study's cells in docs/results, write its tables, or lay the cells out again.

Usage: python scripts/dividend_tables.py collect|restore REPRODUCED

collect: every finished cell of REPRODUCED/dividend-*/medium becomes a line of
docs/results/dividend.jsonl (cells that are there and not in the folder are kept), and the tables
of docs/results/dividend.md are written from those lines.
restore: the lines become cells in REPRODUCED again, so that `caesura reproduce dividend-... --out
REPRODUCED --resume` goes on from them.
"""

import sys
from pathlib import Path

from kept_cells import DOCS, KeptCells, markdown

from caesura.files import write_text
from caesura.recipes.dividend import OBJECTIVES
from caesura.reproduce.dividend.analysis import (
    Frozen,
    arm_rows,
    asymmetry,
    baseline_rows,
    critical_difference,
    family_rows,
    latent_rows,
    rank_table,
    share_rows,
    signed,
    verdict,
    view_rows,
)
from caesura.reproduce.dividend.encoders import AUGMENTATIONS, DividendSettings
from caesura.reproduce.dividend.followups import (
    Variants,
    band_rows,
    horizon_rows,
    resample_rows,
    tuned_family_rows,
    tuned_rows,
)
from caesura.reproduce.dividend.origin import DEPTHS, ORIGINS
from caesura.reproduce.dividend.rates import best_rate
from caesura.reproduce.dividend.sets import CHOICE

KEPT = KeptCells("dividend")


def rate_rows(cells):
    """Return the learning rate that each arm was given, by mean rank outside the report."""
    rows = []
    for objective in OBJECTIVES:
        row = {"objective": objective}
        for view in AUGMENTATIONS:
            cell = f"{objective}, {view}"
            found = cells.get(("dividend-rates", cell, 0))
            if found is None:
                row[view] = ""
                continue
            lrs = DividendSettings(**found["settings"]).lrs
            row[view] = f"{best_rate(found['rows'], cell, lrs, CHOICE):g}"
        rows.append(row)
    return rows


def blocks(cells):
    """Return the text of each block of the page."""
    done = sum(1 for name, _, _ in cells if name == "dividend-frozen")
    found = {"rates": markdown(rate_rows(cells)), "state": f"{done} of 75 frozen cells x seeds "
             "(24 arms and the baselines, 3 seeds) are finished."}  # fmt: skip
    try:
        study = Frozen([row for key, row in cells.items() if key[0] == "dividend-frozen"])
    except ValueError:
        empty = "No seed is whole yet."
        return found | dict.fromkeys(("families", "arms", "shares", "claims", "ranks"), empty)
    claims = [
        {"claim": f"dividend of {name} is larger", "difference": signed(gap),
         "verdict": verdict(gap)}
        for name, gap in asymmetry(study).items()
    ]  # fmt: skip
    write_text(DOCS / "dividend-ranks.svg", critical_difference(*rank_table(study)) + "\n")
    found["state"] += f" The tables are of the whole seeds: {study.seeds}."
    found["families"] = markdown(family_rows(study)) + "\n\n" + markdown(baseline_rows(study))
    found["arms"] = markdown(arm_rows(study))
    shares = (share_rows(study), latent_rows(study), view_rows(study))
    found["shares"] = "\n\n".join(markdown(rows) for rows in shares)
    found["claims"] = markdown(claims)
    found["ranks"] = "![Mean ranks over the sets](dividend-ranks.svg)"
    found["bands"] = markdown(band_rows(study))
    return found | later_blocks(cells)


def later_blocks(cells):
    """Return the blocks of fine-tuning, depth and origin, as far as there are cells."""
    tuned_cells = [row for key, row in cells.items() if key[0] == "dividend-tuned"]
    by_family = [row for key, row in cells.items() if key[0] == "dividend-tuned-families"]
    tuned, best = tuned_rows(tuned_cells), tuned_family_rows(by_family, tuned_cells)
    variants = Variants([row for key, row in cells.items() if key[0] == "dividend-origin"])
    depths = [f"depth {k}" for k in DEPTHS]
    ahead = horizon_rows([row for key, row in cells.items() if key[0] == "dividend-horizons"])
    found = {"tuned": markdown(tuned)} if tuned else {}
    found |= {"families-tuned": markdown(best)} if best else {}
    found |= {"horizons": markdown(ahead)} if ahead else {}
    drawn = resample_rows([row for key, row in cells.items() if key[0] == "dividend-resamples"])
    found |= {"resamples": markdown(drawn)} if drawn else {}
    pairs = {
        "depth": (depths, [("depth 3", "depth 1"), ("depth 6", "depth 3")]),
        "origin": (list(ORIGINS), [("real", "synthetic"), ("mixed", "real"),
                                   ("real", "real, a quarter"),
                                   ("synthetic", "synthetic, a quarter")]),
    }  # fmt: skip
    for name, (changes, gaps) in pairs.items():
        if rows := variants.rows(changes):
            seeds = f"Seeds: {variants.seeds(changes)}."
            found[name] = "\n\n".join([seeds, markdown(rows), markdown(variants.gaps(gaps))])
    return found


def collect(folder):
    """Write lines and tables."""
    KEPT.fill(blocks(KEPT.collect(folder)))


if __name__ == "__main__":
    {"collect": collect, "restore": KEPT.restore}[sys.argv[1]](Path(sys.argv[2]))
