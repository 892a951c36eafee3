"""What the app writes, as `datasets.load_dataset` reads it: types, nulls, order of shards, exact text."""

from __future__ import annotations

import io
from datetime import datetime
from pathlib import Path

import pytest

from backends.feedback.card import CONFIGS, card
from backends.feedback.parquet import features, rows_of, shard
from core.dataset import COLUMNS, Config
from tests.contract.outbox_rows import AWKWARD, full_preference, load, preference

MOMENT = "2026-11-21T12:34:56.789012+02:00"


def png(colour: tuple[int, int, int]) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (3, 2), colour).save(out, "PNG")
    return out.getvalue()


def full(config: Config) -> dict[str, object]:
    """A row of the config with every column filled in, as plain values."""
    values: dict[str, object] = {
        "string": AWKWARD,
        "timestamp": MOMENT,
        "bool": True,
        "int32": 1,
        "float64": 1.5,
        "strings": ["a", AWKWARD],
        "messages": [{"role": "user", "content": AWKWARD}],
        "scores": [{"question": "clear?", "side": "left", "value": AWKWARD}],
        "image": png((200, 10, 10)),
        "images": [png((200, 10, 10)), png((1, 2, 3))],
        "parts": [{"role": "user", "content": [{"type": "image", "text": None}, {"type": "text", "text": AWKWARD}]}],
    }
    return {name: values[kind] for name, kind in COLUMNS[config].items()}


def write_folder(folder: Path, config: Config, shards: list[list[dict[str, object]]]) -> Path:
    (folder / "data" / config).mkdir(parents=True)
    for number, rows in enumerate(shards):
        (folder / "data" / config / f"{number}.parquet").write_bytes(shard(config, rows))
    (folder / "README.md").write_text(card(None, (config,), "./dataset"))
    return folder


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("nulls_first", [True, False])
def test_shard_all_null_and_shard_full_load_in_either_order(tmp_path: Path, config: Config, nulls_first: bool) -> None:
    empty: dict[str, object] = dict.fromkeys(COLUMNS[config])
    shards = [[empty], [full(config)]] if nulls_first else [[full(config)], [empty]]
    loaded = load(write_folder(tmp_path, config, shards), config)
    assert loaded.features == features(config)
    assert list(loaded.column_names) == list(COLUMNS[config])
    nulls, filled = (loaded[0], loaded[1]) if nulls_first else (loaded[1], loaded[0])
    assert all(value is None for value in nulls.values())
    for name, kind in COLUMNS[config].items():
        if kind == "image":
            assert filled[name].size == (3, 2)
            assert filled[name].getpixel((0, 0)) == (200, 10, 10)
        elif kind == "images":
            assert [each.getpixel((0, 0)) for each in filled[name]] == [(200, 10, 10), (1, 2, 3)]
        elif kind == "timestamp":
            assert filled[name] == datetime.fromisoformat(MOMENT)
        else:
            assert filled[name] == full(config)[name], name


@pytest.mark.parametrize(("config", "younger"), [*((config, "timings") for config in CONFIGS), ("comparisons", "gold")])
def test_shards_of_an_older_schema_load_beside_ours(tmp_path: Path, config: Config, younger: str) -> None:
    """Version 1 had no timings, version 2 no gold; a dataset that an older app began is one dataset still."""
    import pyarrow.parquet as pq

    folder = write_folder(tmp_path, config, [[full(config)], [full(config)]])
    old = folder / "data" / config / "0.parquet"
    missing = ("gold",) if younger == "gold" else ("timings", "gold")
    names = [name for name in COLUMNS[config] if not name.endswith(missing)]
    assert len(names) < len(COLUMNS[config])
    pq.write_table(pq.read_table(old).select(names), old)
    loaded = load(folder, config)
    assert loaded.features == features(config)
    column = next(name for name in COLUMNS[config] if name.endswith(younger))
    assert loaded[column] == [None, AWKWARD]
    # And an app that opens it takes the old rows over as they are.
    taken_over = rows_of(config, old.read_bytes())
    assert taken_over is not None
    assert [row[column] for row in taken_over] == [None]


def test_text_is_exact_and_messages_are_lists_of_role_and_content(tmp_path: Path) -> None:
    row = full_preference()
    loaded = load(write_folder(tmp_path, "preferences", [[row.columns()]]))
    assert loaded[0]["prompt"] == [message.as_dict() for message in row.prompt]
    assert loaded[0]["prompt"][0]["content"].encode() == AWKWARD.encode()
    assert loaded[0]["chosen"] == [{"role": "assistant", "content": AWKWARD}]
    expected = {name: value for name, value in row.columns().items() if name != "created_at"}
    assert {name: loaded[0][name] for name in expected} == expected
    assert loaded[0]["created_at"] == datetime.fromisoformat(row.provenance.created_at)


def test_same_rows_make_the_same_bytes() -> None:
    row = preference().columns()
    assert shard("preferences", [row]) == shard("preferences", [row])


def test_shard_opens_without_the_card(tmp_path: Path) -> None:
    """A copied shard keeps its features: they are in the file's own metadata."""
    import datasets

    file = tmp_path / "one.parquet"
    file.write_bytes(shard("image_preferences", [full("image_preferences")]))
    loaded = datasets.Dataset.from_parquet(str(file), cache_dir=str(tmp_path / "cache"))
    assert loaded.features == features("image_preferences")


class TestCard:
    def test_config_without_a_shard_cannot_be_loaded(self, tmp_path: Path) -> None:
        """Why the card lists only configs that have a shard."""
        write_folder(tmp_path, "preferences", [[preference().columns()]])
        (tmp_path / "README.md").write_text(card(None, ("preferences", "ratings"), "./dataset"))
        with pytest.raises(Exception, match="no data"):
            load(tmp_path, "ratings")

    def test_what_the_owner_wrote_stays(self) -> None:
        mine = "---\nlicense: mit\nsize_categories: [n<1K]\n---\n# My votes\n\nText.\n"
        made = card(mine, ("preferences",), "alice/votes")
        assert "license: mit" in made and "size_categories" in made and made.endswith("# My votes\n\nText.\n")
        assert "data/preferences/*.parquet" in made
        assert card(made, ("preferences",), "alice/votes") == made
        more = card(made, ("preferences", "ratings"), "alice/votes")
        assert "data/ratings/*.parquet" in more and "license: mit" in more
        assert card(more, ("preferences",), "alice/votes") == made

    def test_configs_of_the_owner_stay_beside_ours(self, tmp_path: Path) -> None:
        mine = "---\nconfigs:\n- config_name: extra\n  default: true\n  data_files: extra/*.csv\n---\n"
        made = card(mine, ("preferences",), "./dataset")
        assert "extra/*.csv" in made and made.count("default: true") == 1

    @pytest.mark.parametrize("broken", ["---\n: [\n---\ntext", "---\n- a\n---\ntext", "no front matter", ""])
    def test_front_matter_that_does_not_parse_is_made_anew_above_the_text(self, tmp_path: Path, broken: str) -> None:
        made = card(broken, ("preferences",), "./dataset")
        assert "config_name: preferences" in made
        assert broken.rpartition("---\n")[2] in made
        folder = write_folder(tmp_path, "preferences", [[preference().columns()]])
        (folder / "README.md").write_text(made)
        assert len(load(folder)) == 1
