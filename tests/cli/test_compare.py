"""`restoration compare` from an option file to its report."""

import csv
import html
import io
import json
import re
import subprocess
from contextlib import redirect_stdout
from html.parser import HTMLParser
from pathlib import Path
from shutil import which

import pytest
import torch
import yaml
from tiny import tiny_comparison

from restoration.cli import main
from restoration.compare import fairness
from restoration.compare.plan import load_comparison
from restoration.train.loop import Trainer
from restoration.train.run import prepare

OPTIONS = Path(__file__).parents[2] / "options"
MAE = {"name": "mae", "train": {"losses": [{"type": "MAE"}]}}
AGAIN = MAE | {"name": "mae_again"}
MSE = {"name": "mse", "train": {"losses": [{"type": "MSE"}]}}


@pytest.fixture(scope="module")
def images(pictures):
    return pictures(6, side=24, name="compared")


@pytest.fixture(scope="module")
def write(images, tmp_path_factory):
    """Write a comparison's file, keys laid over a small one."""

    def make(**keys):
        options = tiny_comparison(images, recipes=[MAE, AGAIN, MSE]) | keys
        file = tmp_path_factory.mktemp("options") / "compare.yml"
        file.write_text(yaml.safe_dump(options))
        return file

    return make


@pytest.fixture(scope="module")
def ran(write, tmp_path_factory):
    """The folder of a comparison in which one recipe stands twice."""
    folder = tmp_path_factory.mktemp("ran") / "out"
    expected = [{"recipe": "mse", "signs": {"psnr": "lower", "lpips": "higher"}}]
    file = write(expected=expected, notes=["A caveat of mine <b>."])
    with redirect_stdout(io.StringIO()) as told:
        assert main(["compare", "-opt", str(file), "--out", str(folder)]) == 0
    (folder.parent / "told.txt").write_text(told.getvalue())
    return folder


def results(folder):
    return json.loads((folder / "results.json").read_text())


def run(file, folder, *flags):
    return main(["compare", "-opt", str(file), "--out", str(folder), *flags])


# ------------------------------------------------------------------ what was found


def test_the_same_recipe_twice_has_the_same_values(ran):
    found = [d for d in results(ran)["differences"] if d["recipe"] == "mae_again"]
    assert [d["metric"] for d in found] == ["psnr", "e_mae"]
    for one in found:
        assert (one["mean"], one["low"], one["high"]) == (0, 0, 0)
        assert (one["p"], one["p_holm"], one["win_rate"]) == (1, None, 0.5)
        assert (one["identical"], one["verdict"]) == (True, "single training")
    page = (ran / "report.html").read_text()
    assert "mae_again and mae give exactly the same values on every image." in page
    one, other = (c["checkpoint_sha256"] for c in results(ran)["recipes"][:2])
    assert len(one) == 64
    rows = list(csv.DictReader((ran / "per_image.csv").open()))
    by_run = {name: [r["psnr"] for r in rows if r["run"] == name] for name in ("mae", "mae_again")}
    assert by_run["mae"] == by_run["mae_again"]


def test_another_loss_makes_a_difference(ran):
    """The check above passes on a comparison that ignores its losses, too."""
    found = [d for d in results(ran)["differences"] if d["recipe"] == "mse"]
    assert all(one["mean"] != 0 and not one["identical"] for one in found)


def test_means_can_be_computed_again_from_per_image(ran):
    rows = list(csv.DictReader((ran / "per_image.csv").open()))
    for one in results(ran)["differences"]:
        pair = (one["recipe"], one["reference"])
        mine, others = (
            {r["image"]: float(r[one["metric"]]) for r in rows if r["run"] == name} for name in pair
        )
        gaps = [mine[image] - others[image] for image in mine]
        assert one["n"] == len(gaps) == 6
        assert one["mean"] == pytest.approx(sum(gaps) / 6, abs=1e-9)


def test_identity_is_written_down(ran):
    found = results(ran)
    hashes = [one["identity"] for one in found["recipes"]]
    assert hashes[0] == hashes[1] == hashes[2]
    assert {"sample stream", "drawn samples", "initial weights", "schedule", "steps"} <= set(
        hashes[0]
    )
    assert found["different"] == []
    assert found["statistics"]["family_of_tests"] == 0
    assert {s["metric"]: s["outcome"] for s in found["signs"]}["lpips"] == "not measured"
    text = (ran / "table.md").read_text()
    assert "speak of these networks on new photographs, not of recipes" in text
    for name in ("mae", "mae_again", "mse"):
        assert (ran / "recipes" / name / "models" / "net_g_latest.pth").is_file()
        assert (ran / "recipes" / name / "options.yml").is_file()


def test_no_side_wins_with_one_training(ran):
    """Neither in verdicts nor in colours or words of the page."""
    assert {d["verdict"] for d in results(ran)["differences"]} == {"single training"}
    text = (ran / "report.html").read_text()
    assert "mse against mae: no side wins." in text
    assert "two networks are compared on new photographs, not two losses" in text
    shown = text[text.index("<body>") : text.index('id="signs"')]
    assert not re.search(r'class="(better|worse)"|<strong><span', shown)
    assert "No recipe is shown to be better" not in shown, "one recipe stands twice"
    assert "cannot be told apart" not in text


# ------------------------------------------------------------------ the page


class Page(HTMLParser):
    """Tags with their attributes, in order."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def all(self, *names):
        return [attributes for tag, attributes in self.tags if tag in names]


@pytest.fixture(scope="module")
def page(ran):
    return Page((ran / "report.html").read_text())


def test_report_loads_nothing(page, ran):
    text = (ran / "report.html").read_text()
    links = [
        value
        for _, attributes in page.tags
        for name, value in attributes.items()
        if name in ("src", "href", "xlink:href", "srcset", "data", "action", "poster")
    ]
    assert links
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)
    assert not re.search(r"@import|url\((?!#)", text)
    assert not page.all("script", "link", "iframe", "object")
    assert "default-src 'none'" in text


def test_the_first_line_is_the_answer(ran):
    text = (ran / "report.html").read_text()
    (answer,) = re.findall("<h1>(.*?)</h1>", text)
    assert answer == (
        "Against mae, mae_again is the same on every image; mse is neither shown to be better nor "
        "worse by a single training."
    )
    body = re.sub("<[^>]+>", "", text[text.index("</a>", text.index("<body>")) :])
    assert body.strip().startswith(answer)
    order = [text.index(f'<h2 id="{name}">') for name in ("front", "means", "differences", "crops")]
    assert order == sorted(order)


def test_crops_are_large_and_blink_without_scripts(page):
    """One radio per picture, the first recipe of the pair chosen; CSS shows what is chosen."""
    images = page.all("img")
    assert all(320 <= int(one["width"]) <= 336 for one in images)
    radios = [one for one in page.all("input") if one["type"] == "radio"]
    groups = {one["name"] for one in radios}
    layers = [one for one in page.all("div") if one.get("class") == "layer"]
    assert len(radios) == len(layers) == 5 * len(groups)
    assert sum("checked" in one for one in radios) == len(groups)
    assert {one["for"] for one in page.all("label")} == {one["id"] for one in radios}


def test_figures_and_tables_are_files_too(ran, page):
    figures = {path.name for path in (ran / "figures").iterdir()}
    crops = {"crops.png", "crops_overview.png"}
    assert crops <= figures
    figures -= crops
    stems = {name.rpartition(".")[0] for name in figures}
    assert {"forest-psnr", "scatter-mse-psnr", "curve-MAE", "front_psnr_e_mae"} <= stems
    assert {f"{stem}.{kind}" for stem in stems for kind in ("svg", "pdf")} <= figures
    assert len(stems) == len(page.all("svg"))
    table = (ran / "table.tex").read_text()
    assert table.startswith("% needs \\usepackage{booktabs}")
    assert "mae\\_again & " in table and "\\toprule" in table


def test_the_terminal_shows_a_table_and_where_the_page_is(ran):
    lines = (ran.parent / "told.txt").read_text().rstrip().splitlines()
    assert lines[-1] == f"open {ran / 'report.html'}"
    assert any(re.match(r" *val +│ +25 +│ mae_again +│ 6 +│ +\d", line) for line in lines)
    assert any(re.match(r" *mse +│ PSNR +│ +\S+ single training", line) for line in lines)
    (answer,) = re.findall("<h1>(.*?)</h1>", (ran / "report.html").read_text())
    assert answer in " ".join(line.strip() for line in lines)


BROWSER = which("chromium") or which("google-chrome") or which("chrome")
WIDTHS = (390, 1280)
FRAME = """<body><script>
function measure(frame) {
  const page = frame.contentDocument.documentElement;
  const beyond = page.scrollWidth - page.clientWidth;
  document.body.insertAdjacentText("beforeend", `[${frame.width}: ${beyond}]`);
}
</script>%s</body>"""


@pytest.mark.skipif(BROWSER is None, reason="no chromium here")
def test_nothing_scrolls_sideways(ran, tmp_path):
    """Neither on a phone nor on a desktop, with words for screen readers in every cell."""
    text = (ran / "report.html").read_text()
    text = text.replace("</td>", ' <span class="hidden">better</span></td>')
    text = html.escape(text, quote=True)
    frames = [
        f'<iframe width="{w}" height="900" style="border: 0" onload="measure(this)" '
        f'srcdoc="{text}"></iframe>'
        for w in WIDTHS
    ]
    (tmp_path / "frames.html").write_text(FRAME % "".join(frames))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"]
    command = [BROWSER, *flags, "--dump-dom", (tmp_path / "frames.html").as_uri()]
    shown = subprocess.run(  # noqa: S603 (the browser, on a page of ours)
        command, capture_output=True, text=True, timeout=120
    ).stdout
    beyond = {int(w): int(much) for w, much in re.findall(r"\[(\d+): (\d+)\]", shown)}
    assert beyond == dict.fromkeys(WIDTHS, 0)


def test_report_can_be_heard_and_reached_by_keyboard(page):
    assert all(one.get("alt", "").strip() for one in page.all("img"))
    assert len(page.all("img")) >= 11
    assert all(one.get("role") == "img" and one.get("aria-label") for one in page.all("svg"))
    assert len(page.all("svg")) >= 2 + 4
    regions = [one for one in page.all("div") if one.get("class") == "scroll"]
    assert all(one["tabindex"] == "0" and one["aria-label"] for one in regions)
    assert len(page.all("caption")) == len(page.all("table")) <= len(regions)
    assert all(one.get("scope") for one in page.all("th"))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))
    assert page.all("a")[0] == {"class": "skip", "href": "#found"}
    assert page.all("html")[0]["lang"] == "en"


def test_report_has_no_dangling_or_double_ids(page):
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    targets = [
        a[k][1:] for _, a in page.tags for k in ("href", "xlink:href") if "#" in a.get(k, "")
    ]
    assert targets and set(targets) <= set(ids)


def test_report_says_what_it_rests_on(ran):
    text = (ran / "report.html").read_text()
    for words in (
        "6 test images",
        "trained once, with seed 0, for 2 steps",
        "A caveat of mine &lt;b&gt;.",
        "E-MAE is printed times 100",
        "could not be measured",
        "no loss is called better",
        "Rule:",
        "prefers-color-scheme: dark",
    ):
        assert words in text, words


# ------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("other", "key"),
    [
        (MSE | {"manual_seed": 5}, r"manual_seed \(5 against 0\)"),
        ({"name": "b", "train": {"losses": [{"type": "MSE"}], "total_iter": 3}}, "total_iter"),
        (
            {"name": "b", "train": {"losses": [{"type": "MAE"}], "optim_g": {"lr": 0.02}}},
            r"train.optim_g.lr \(0.02 against 0.01\)",
        ),
        (MSE | {"network_g": {"ffn_expansion_factor": 2.0}}, "network_g.ffn_expansion_factor"),
        (MSE | {"datasets": {"train": {"sigma_range": [0, 25]}}}, "datasets.train.sigma_range"),
    ],
)
def test_recipes_that_differ_are_refused(write, tmp_path, capsys, other, key):
    assert run(write(recipes=[MAE, other]), tmp_path / "out") == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert re.search(f"{other['name']} in .*{key}", told), told
    assert "--allow-different" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"recipes": [MAE]}, "at least two recipes"),
        ({"recipes": [MAE, MAE]}, "different names"),
        ({"recipes": [MAE, MSE | {"name": "../x"}]}, "recipes.1.name"),
        ({"recipes": [MAE, MSE | {"trian": {}}]}, "did you mean `train`"),
        (
            {"recipes": [MAE, {"name": "b", "train": {"losses": [{"type": "EVGG"}]}}]},
            "recipe b: .*E-V",
        ),
        ({"recipes": [MAE, {"name": "b"}]}, "recipe b: .*no loss"),
        ({"recipes": [MAE, {"name": "b", "pretrain_network_g": "gone.pth"}]}, "recipe b: .*gone"),
        ({"recipes": [MAE, MSE | {"pretrain_network_g": "x"}]}, "only measured"),
        ({"recipes": [MAE, {"name": "b", "base": "gone.yml"}]}, "gone.yml does not exist"),
        ({"recipes": [MAE, MSE | {"datasets": {"val": {"sigma_test": 5}}}]}, "other test sets"),
        ({"reference": "mae_agin"}, "`reference`: .*did you mean 'mae_again'"),
        (
            {"expected": [{"recipe": "mae", "against": "m", "signs": {}}]},
            "`expected.0.against`: expected a recipe of .*got 'm'",
        ),
        (
            {"expected": [{"recipe": "mse", "signs": {"psrn": "lower"}}]},
            "`expected.0.signs`: unknown metric 'psrn'.*did you mean 'psnr'",
        ),
        ({"val": {"metrics": []}}, "needs a metric"),
        ({"expectd": []}, "did you mean `expected`"),
        ({"picture_sigma": 3}, "expected one of"),
        ({"datasets": {}}, "needs a test set"),
        ({"seeds": [0, 1, 0]}, r"`seeds`: expected one or more different seeds.*\[0, 1, 0\]"),
        ({"seeds": []}, r"`seeds`: expected one or more.*got \[\]"),
        ({"seeds": [-1, 0]}, "seeds of at least 0"),
        ({"seeds": 3}, "`seeds`: .*list, got 3"),
        ({"seeds": ["a"]}, "seeds"),
        (
            {"seeds": [0], "recipes": [MAE, MSE | {"manual_seed": 0}]},
            "recipe mse: `manual_seed` cannot stand beside",
        ),
    ],
)
def test_mistakes_are_one_line(write, tmp_path, capsys, keys, message):
    assert run(write(**keys), tmp_path / "out") == 2
    told = capsys.readouterr().err
    assert told.startswith("restoration: error: ") and told.count("\n") == 1
    assert re.search(message, told), told
    assert not (tmp_path / "out").exists()


def test_shared_losses_and_bases_are_not_mixed(write, tmp_path, capsys):
    base = OPTIONS / "train" / "restormer_xs_blind_color_mae.yml"
    recipes = [MAE, {"name": "b", "base": str(base)}]
    shared = {"total_iter": 2, "losses": [{"type": "MAE"}]}
    assert run(write(recipes=recipes, train=shared), tmp_path / "out") == 2
    assert "would replace the losses" in capsys.readouterr().err


def test_a_base_may_lack_data_sets(write, tmp_path):
    (tmp_path / "base.yml").write_text(yaml.safe_dump({"train": {"losses": [{"type": "MSE"}]}}))
    based = {"name": "b", "base": str(tmp_path / "base.yml")}
    assert load_comparison(write(recipes=[MAE, based])).recipes[1].options.train.losses


def test_bases_with_other_tiles_are_refused(write, tmp_path, capsys):
    """The same training, tested otherwise, would win or lose."""
    base = {"train": {"losses": [{"type": "MSE"}]}, "val": {"tile": 64}}
    (tmp_path / "base.yml").write_text(yaml.safe_dump(base))
    recipes = [MAE, {"name": "b", "base": str(tmp_path / "base.yml")}]
    assert run(write(recipes=recipes), tmp_path / "out") == 2
    assert "b is tested with val.tile = 64, mae with None" in capsys.readouterr().err


def test_allow_different_is_marked(write, ran, tmp_path):
    checkpoint = ran / "recipes" / "mse" / "models" / "net_g_latest.pth"
    elsewhere = {"name": "elsewhere", "pretrain_network_g": str(checkpoint)}
    seed = MSE | {"manual_seed": 5}
    file = write(recipes=[MAE, seed, elsewhere])
    assert run(file, tmp_path / "out", "--allow-different") == 0
    (mark,) = results(tmp_path / "out")["different"]
    assert mark == {"recipe": "mse", "key": "manual_seed", "value": 5, "reference": 0}
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Different in more than the loss" in page
    assert "elsewhere was trained elsewhere, under conditions not known here." in page
    assert not (tmp_path / "out" / "recipes" / "elsewhere" / "models").exists()
    rows = [r for r in results(tmp_path / "out")["rows"] if r["run"] == "elsewhere"]
    before = [r for r in results(ran)["rows"] if r["run"] == "mse"]
    assert [r["psnr"] for r in rows] == [r["psnr"] for r in before]


# ------------------------------------------------------------------ going on


def test_an_interrupted_comparison_goes_on(write, ran, tmp_path, monkeypatch, capsys):
    file, out = write(recipes=[MAE, MSE]), tmp_path / "out"
    step, taken = Trainer.step, []

    def interrupted(self, number, batches):
        taken.append(number)
        if len(taken) == 4:  # the second step of the second recipe
            raise KeyboardInterrupt
        return step(self, number, batches)

    monkeypatch.setattr(Trainer, "step", interrupted)
    assert run(file, out) == 130
    assert not (out / "report.html").exists()
    first = out / "recipes" / "mae" / "models" / "net_g_latest.pth"
    before = first.stat().st_mtime_ns
    capsys.readouterr()
    changed = {"name": "mse", "train": {"losses": [{"type": "MSE", "weight": 2.0}]}}
    assert run(write(recipes=[MAE, changed]), out, "--auto_resume") == 2
    assert "mse was begun in" in capsys.readouterr().err
    taken.clear()
    taken.extend([0] * 4)
    assert run(file, out, "--auto_resume") == 0
    assert taken[4:] == [1]  # only the step that was missing
    assert first.stat().st_mtime_ns == before
    whole = {r["run"]: r["psnr"] for r in results(ran)["rows"]}
    again = {r["run"]: r["psnr"] for r in results(out)["rows"]}
    assert again == {run: whole[run] for run in again}
    measured = (out / "journal.jsonl").read_bytes()
    monkeypatch.setattr(Trainer, "step", None)
    assert run(file, out, "--auto_resume") == 0
    assert (out / "journal.jsonl").read_bytes() == measured, "nothing is measured again"


# ------------------------------------------------------------------ option files


@pytest.mark.parametrize("name", ["quick", "same_twice", "vgg_vs_evgg"])
def test_shipped_comparisons_differ_in_their_loss_alone(name):
    plan = load_comparison(OPTIONS / "compare" / f"{name}.yml")
    first = fairness.conditions(plan.recipes[0].options)
    for other in plan.recipes[1:]:
        assert not list(fairness.differing_keys(first, fairness.conditions(other.options)))
    losses = [one.options.train.terms() for one in plan.recipes]
    assert (losses[0] == losses[1]) == (name == "same_twice")
    train = plan.shared.datasets.train.dataroot_gt
    for one in plan.shared.datasets.test.values():
        if "skimage:" in one.dataroot_gt:
            scenes = {n.partition("@")[0] for n in one.dataroot_gt.partition(":")[2].split(",")}
            assert not scenes & set(train.partition(":")[2].split(","))


def test_publication_has_sixteen_signs():
    plan = load_comparison(OPTIONS / "compare" / "vgg_vs_evgg.yml")
    assert [len(one.signs) * len(one.sigmas) for one in plan.settings.expected] == [16, 16]
    assert plan.settings.reference_name == "mae_vgg"


def test_force_yml_holds_for_every_recipe(write):
    plan = load_comparison(write(), ["train:total_iter=7", "reference=mse", "name=mine"])
    assert plan.name == "mine"
    assert [one.options.name for one in plan.recipes] == ["mae", "mae_again", "mse"]
    assert {one.options.train.total_iter for one in plan.recipes} == {7}
    assert plan.reference.name == "mse"


def test_hashes_see_what_they_should(write):
    """Equal hashes would say nothing if nothing could change them."""

    def identify(**train):
        recipe = {"name": "a", "train": {"losses": [{"type": "MAE"}]} | train}
        return hashes(load_comparison(write(recipes=[recipe, MAE])))

    def hashes(plan):
        return fairness.identify(prepare(plan.recipes[0].options, torch.device("cpu")))

    def changed(before, after):
        return {key for key in before if before[key] != after[key]}

    one = identify()
    assert one == identify()
    assert changed(one, identify(optim_g={"lr": 0.5})) == {"schedule"}
    assert changed(one, identify(mixing_augs={"mixup": True})) == {
        "sample stream",
        "drawn samples",
        "schedule",
    }
    assert changed(one, hashes(load_comparison(write(manual_seed=9)))) == {
        "sample stream",
        "drawn samples",
        "initial weights",
    }
