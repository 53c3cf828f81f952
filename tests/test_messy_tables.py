"""Tables as people have them: units in headers, decimal commas beside dates, headers again, markdown, merged cells."""

import warnings

import numpy as np
import pytest

import scalefit as sf
from scalefit.errors import DataError

N, D = (np.repeat([7e7, 3e8, 1.3e9], 3), np.tile([1e9, 8e9, 6e10], 3))
LOSS = sf.published("besiroglu2024").predict(N=N, D=D)


def table(tmp_path, header, line, name="runs.csv"):
    """Write the nine runs, a line each, and return the path."""
    lines = [line(i, n, d, x) for i, (n, d, x) in enumerate(zip(N, D, LOSS, strict=True))]
    path = tmp_path / name
    path.write_text("\n".join([header, *lines]), encoding="utf-8")
    return path


def read(path, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return sf.read_runs(path, **options)


def same(runs, rtol=1e-6):
    for name, values in (("N", N), ("D", D), ("loss", LOSS)):
        np.testing.assert_allclose(runs[name], values, rtol=rtol)


@pytest.mark.parametrize("date", ["01.03.2025", "2025.03.01", "1.3.25"])
def test_dates_do_not_hide_decimal_commas(tmp_path, date):
    def line(i, n, d, x):
        return ";".join([f"run {i}", f"{n / 1e6:g}", f"{d / 1e9:g}", f"{x:.9f}".replace(".", ","), date])

    runs = read(table(tmp_path, "run;Size (M params);Tokens (B);loss;Date", line))
    same(runs)
    assert runs["Date"].iloc[0] == date


@pytest.mark.parametrize(
    ("names", "factors"),
    [
        (("N (1e6)", "D (1e9)"), (1e6, 1e9)),
        (("params [x10^6]", "tokens (10**9)"), (1e6, 1e9)),
        (("Size (×1e6 params)", "Tokens (in billions of tokens)"), (1e6, 1e9)),
        (("params_m", "tokens_b"), (1e6, 1e9)),
    ],
)
def test_units_of_sizes_in_headers(tmp_path, names, factors):
    path = table(tmp_path, ",".join([*names, "loss"]), lambda i, n, d, x: f"{n / factors[0]},{d / factors[1]},{x}")
    same(read(path))


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("compute (PFLOP-days)", 8.64e19),
        ("Compute [petaFLOP/s-days]", 8.64e19),
        ("Training compute (PF-days)", 8.64e19),
        ("training FLOPs (EFLOP)", 1e18),
        ("flops (1e18)", 1e18),
        ("compute (FLOPs)", 1.0),
    ],
)
def test_units_of_compute_in_headers(tmp_path, name, unit):
    path = table(tmp_path, f"size,{name},loss", lambda i, n, d, x: f"{n},{6 * n * d / unit:.12g},{x}")
    same(read(path))


@pytest.mark.parametrize("name", ["compute (PFLOP/s)", "compute (hours)"])
def test_a_rate_is_no_compute(tmp_path, name):
    path = table(tmp_path, f"size,{name},loss", lambda i, n, d, x: f"{n},{d},{x}")
    with pytest.raises(
        DataError,
        match="no D column.* Name the column with columns={'D': ...}, or that of the compute with columns={'C': ...}",
    ):
        sf.fit(path)


def test_a_loss_of_thousands_has_a_decimal_comma(tmp_path):
    def line(i, n, d, x):
        return f'{n},{d},"{int(x)},{int(1000 * x) % 1000:03d}"'

    path = table(tmp_path, "N,D,loss", line)
    with pytest.raises(DataError, match=r"loss is '\d,\d{3}', not a number; with a decimal comma, write a point"):
        sf.read_runs(path)
    path = table(tmp_path, "N,D,ppl", lambda i, n, d, x: f'{n},{d},"1,2{i}0.5"')
    runs = read(path, loss="ppl", loss_unit="perplexity")
    assert runs["loss"].iloc[0] == pytest.approx(np.log(1200.5))


def test_headers_again_and_blank_lines_are_no_runs(tmp_path):
    header = "params, tokens, loss"
    path = table(tmp_path, header, lambda i, n, d, x: (f"{header}\n,,\n" if i % 4 == 3 else "") + f"{n}, {d}, {x}")
    runs = read(path, D="tokens")  # names are those that a person sees
    same(runs)
    assert runs.index.tolist() == [2, 3, 4, 7, 8, 9, 10, 13, 14]
    assert sf.fit(runs, "power_law:N", fixed={"E": 1.8}).n_runs == 9


def test_a_table_in_markdown_is_read(tmp_path):
    header = "| model | params | tokens | loss |\n|:---|---:|---|---|"
    runs = read(table(tmp_path, header, lambda i, n, d, x: f"| m {i} | {n} | {d} | {x} |", "runs.md"))
    same(runs)
    assert list(runs) == ["N", "D", "C", "loss", "model"] and runs["model"].iloc[0] == "m 0"


def test_merged_cells_are_to_be_filled_down(tmp_path):
    path = table(tmp_path, "N,D,loss", lambda i, n, d, x: f"{n if i % 3 == 0 else ''},{d},{x}")
    with pytest.warns(sf.ScalefitWarning, match="6 of 9 rows .* blank below the first: fill them down"):
        sf.read_runs(path)
    path = table(tmp_path, "N,D,loss", lambda i, n, d, x: f"{n if i else ''},{d},{x}")
    with pytest.warns(sf.ScalefitWarning, match="1 of 9 rows .* leave them out.$"):
        sf.read_runs(path)


def test_a_saved_result_is_no_table(tmp_path):
    result = sf.fit({"N": N, "D": D, "loss": LOSS}, "power_law:N", fixed={"E": 1.8})
    for saved in (result, sf.plan(sf.published("besiroglu2024"), C=1e20)):
        saved.to_json(tmp_path / "r.json")
        with pytest.raises(DataError, match="r.json holds a result that scalefit saved, not a table of runs"):
            sf.forecast(tmp_path / "r.json")


def test_what_a_header_says_of_the_unit_is_in_the_print(tmp_path):
    path = table(tmp_path, "params,tokens,loss (bits/token)", lambda i, n, d, x: f"{n},{d},{x / np.log(2)}")
    result = sf.fit(read(path), fixed={"E": 1.8})
    (note,) = (note for note in result.notes if note.code == "loss_unit")
    assert "says bit/token: the losses were converted to nat/token" in note.message
    same(read(path))


def test_a_log_is_for_advise(tmp_path):
    (tmp_path / "log.csv").write_text("step,loss\n1,3.0\n2,2.9\n")
    with pytest.raises(DataError, match="no N, D or C column.*the log of one run is for scalefit advise"):
        sf.fit(tmp_path / "log.csv")


def test_many_quantities_are_read_as_one_is():
    law = sf.published("besiroglu2024")
    both = law.predict(N=["7B", 1.3e10], D=["140B", "1T"])
    assert both.tolist() == [law.predict(N=7e9, D=1.4e11), law.predict(N="13B", D=1e12)]
    with pytest.raises(ValueError, match=r"N=\['7B', 'many'\] must be a number or an array"):
        law.predict(N=["7B", "many"], D=1e10)


def test_a_column_l_is_the_loss_where_it_is_no_count_of_layers(tmp_path):
    runs = read(table(tmp_path, "N,D,L", lambda i, n, d, x: f"{n},{d},{x}"))
    same(runs)
    assert runs.attrs["scalefit"]["guessed"] == {"loss": "L"}
    with pytest.raises(DataError, match="no loss column"):
        read(table(tmp_path, "N,D,L", lambda i, n, d, x: f"{n},{d},{6 + i}"))
    both = read(table(tmp_path, "N,D,L,val_loss", lambda i, n, d, x: f"{n},{d},{x / 2},{x}"))
    same(both)


def test_a_line_plot_of_a_tracker_is_sent_to_what_makes_a_table_of_it(tmp_path):
    header = '"Step","a - val/loss","a - val/loss__MIN","b - val/loss","b - val/loss__MIN"'
    path = table(tmp_path, header, lambda i, n, d, x: f"{100 * i},{x},{x},{x + 1},{x + 1}")
    with pytest.raises(DataError, match="curves of 2 runs, a column for each .* with sf.collect"):
        read(path)


def test_the_note_on_guessed_columns_names_one_that_was_guessed(tmp_path):
    runs = read(table(tmp_path, "N,D,val_loss", lambda i, n, d, x: f"{n},{d},{x}"))
    (note,) = [note for note in runs.attrs["scalefit"]["notes"] if note["code"] == "guessed"]
    assert note["message"].endswith("name them: columns={'loss': 'column'}.")


def test_a_fault_of_every_row_is_shown_on_three(tmp_path):
    with pytest.raises(DataError) as refused:
        read(table(tmp_path, "N,D,loss", lambda i, n, d, x: f"{n},{d},{x} marks"))
    assert "all 9 were set aside" in str(refused.value) and str(refused.value).count("not a number") == 3
    assert "and 6 more" in str(refused.value)


def test_a_page_of_html_is_no_table(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("<table><tr><th>N</th></tr><tr><td>1</td></tr></table>")
    with pytest.raises(DataError, match="a page of HTML.* Export it as csv"):
        read(path)


def codes(runs):
    return [note["code"] for note in runs.attrs["scalefit"]["notes"]]


@pytest.mark.parametrize("names", [("N", "D", "loss"), ("params", "tokens", "val_loss"), ("size", "loss")])
def test_a_table_of_rows_for_quantities_is_told_as_transposed(tmp_path, names):
    frame = read(table(tmp_path, "N,D,loss", lambda i, n, d, x: f"{n},{d},{x}"))[["N", "D", "loss"]]
    turned = frame.iloc[:, -len(names) :].set_axis(list(names), axis=1).T
    paths = [tmp_path / "labels.csv", tmp_path / "bare.csv", tmp_path / "named.csv"]
    turned.to_csv(paths[0])
    turned.to_csv(paths[1], header=False)  # the first row is taken for the header, and N and D repeat in it
    turned.set_axis([f"run {i}" for i in range(9)], axis=1).to_csv(paths[2], index_label="quantity")
    for source in (*paths, turned):
        with pytest.raises(DataError, match="looks transposed: its rows are .*df.T in pandas"):
            sf.fit(source)
    same(sf.read_runs(frame))  # runs that have labels are not


def test_a_long_table_of_quantities_is_not_called_transposed(tmp_path):
    path = tmp_path / "long.csv"
    path.write_text(
        "quantity,value\n" + "".join(f"N,{n}\nD,{d}\nloss,{x}\n" for n, d, x in zip(N, D, LOSS, strict=True))
    )
    with pytest.raises(DataError, match="There is no loss column"):
        sf.read_runs(path)


def test_fewer_tokens_than_any_language_model_has_are_remarked_on(tmp_path):
    swapped = read(table(tmp_path, "D,N,loss", lambda i, n, d, x: f"{n},{d},{x}"))
    assert "few_tokens" in codes(swapped) and swapped["N"].tolist() == D.tolist()
    assert "few_tokens" in [note.code for note in sf.fit(swapped).notes]
    assert "few_tokens" not in codes(read(table(tmp_path, "N,D,loss", lambda i, n, d, x: f"{n},{d},{x}")))


@pytest.mark.parametrize("about", ["~{}", "≈ {}", "ca. {}", "about {}"])
def test_approximate_values_are_read_with_a_remark(tmp_path, about):
    path = table(tmp_path, "N,D,loss", lambda i, n, d, x: f"{about.format(f'{n / 1e6:g}M')},{d},{x}")
    runs = read(path)
    same(runs)
    assert "approximate_value" in codes(runs) and "approximate_value" in [note.code for note in sf.fit(path).notes]


@pytest.mark.parametrize("error", ["±0.01", " +/- 0.01", "+-1e-2", " ± 0.3 %", "(12)", " (0.012)"])
def test_values_with_their_errors_are_read_with_a_remark(tmp_path, error):
    runs = read(table(tmp_path, "N,D,loss", lambda i, n, d, x: f"{n},{d},{x:.9f}{error}"))
    same(runs)
    assert "stated_error" in codes(runs)


@pytest.mark.parametrize("cell", ["<50M", "50M?", "50-70M", "50M (12 layers)", "~", "±3"])
def test_what_is_no_one_value_is_still_set_aside(tmp_path, cell):
    path = table(tmp_path, "N,D,loss", lambda i, n, d, x: f"{cell if i == 4 else n},{d},{x}")
    with pytest.warns(sf.ScalefitWarning, match="row 6"):
        assert len(sf.read_runs(path)) == 8


@pytest.mark.parametrize(
    ("unit", "factor", "told"),
    [("nats", 1.0, False), ("nats/token", 1.0, False), ("bits", np.log(2), True), ("bits per token", np.log(2), True)],
)
def test_units_in_the_cells_of_the_loss(tmp_path, unit, factor, told):
    runs = read(table(tmp_path, "N,D,loss", lambda i, n, d, x: f"{n},{d},{x / factor:.9f} {unit}"))
    same(runs)
    assert ("loss_unit" in codes(runs)) is told and "loss_unit" not in runs.attrs["scalefit"]["assumed"]


def test_cells_in_several_units_are_set_aside(tmp_path):
    path = table(tmp_path, "N,D,loss", lambda i, n, d, x: f"{n},{d},{x:.9f} {'bits' if i == 4 else 'nats'}")
    with pytest.raises(DataError, match="no usable row"):
        sf.read_runs(path)


@pytest.mark.parametrize(
    ("row", "scale", "said"),
    [
        (",,bits/token", (1, 1, 1 / np.log(2)), r"loss is in 'bits/token'.*'loss \(bits/token\)'"),
        ("(params),(tokens),(bpb)", (1, 1, 0.3), "loss is in 'bpb'"),
        ("(M),(B),(nats)", (1e-6, 1e-9, 1), r"N is in 'M'.*'N \(M\)'"),
        (",in millions,nats", (1, 1e-6, 1), "D is in 'in millions'"),
    ],
)
def test_units_in_a_row_below_the_header_are_not_passed_over(tmp_path, row, scale, said):
    def line(i, n, d, x):
        return ",".join(repr(float(value * by)) for value, by in zip((n, d, x), scale, strict=True))

    path = table(tmp_path, f"N,D,loss\n{row}", line)
    with pytest.raises(DataError, match=f"Row 2 of runs.csv says that {said}"):
        sf.read_runs(path)


def test_a_row_of_the_units_that_are_read_anyway_is_set_aside(tmp_path):
    path = table(tmp_path, "N,D,loss\nparams,tokens,nats", lambda i, n, d, x: f"{n},{d},{x}")
    with pytest.warns(sf.errors.ScalefitWarning, match=r"row 2 \(N is 'params', not a number\)"):
        same(sf.read_runs(path))
    path = table(tmp_path, "N,D,loss\n,,bits/token", lambda i, n, d, x: f"{n},{d},{x / np.log(2)}")
    with pytest.warns(sf.errors.ScalefitWarning, match="row 2"):
        same(sf.read_runs(path, loss_unit="bit/token"))


def test_points_that_may_part_thousands_are_not_taken_for_decimals(tmp_path):
    """20,000 beside 20.000: one of the two is a thousand times off, and which one nothing says."""

    def line(i, n, d, x):
        return f'"{n / 1e3:,.0f}",{d},{x}' if i % 2 else f'"{n / 1e3:,.0f}",{d},{x}'.replace(",", ".", 1)

    path = table(tmp_path, "N (1e3),D,loss", line)
    with pytest.warns(sf.errors.ScalefitWarning, match="not a number"):
        runs = sf.read_runs(path)
    assert set(runs["N"]) <= {float(round(n / 1e3) * 1e3) for n in N}


def test_a_table_of_utf32_and_one_of_two_columns_of_a_name(tmp_path):
    text = "N,D,loss\n" + "\n".join(f"{n},{d},{x}" for n, d, x in zip(N, D, LOSS, strict=True))
    (tmp_path / "wide.csv").write_bytes(text.encode("utf-32"))
    same(read(tmp_path / "wide.csv"))
    import pyarrow as pa
    from pyarrow import parquet

    twice = pa.table([pa.array(column) for column in (N, N, D, LOSS)], names=["N", "N", "D", "loss"])
    parquet.write_table(twice, tmp_path / "twice.parquet")
    with pytest.raises(DataError, match=r"twice.parquet has the column 'N' more than once.*Rename one of them"):
        sf.read_runs(tmp_path / "twice.parquet")


def test_a_log_of_very_many_columns_is_refused_before_it_is_split(tmp_path):
    from scalefit.integrations.logs import read_log

    path = tmp_path / "log.csv"
    path.write_text("step,loss," + "x," * 20_000 + "\n1,3," + "0," * 20_000 + "\n2,2.9," + "0," * 20_000)
    with pytest.raises(DataError, match="first line has 20,003 cells"):
        read_log(path)
