"""Bad input to models that write texts: one clear error each, before anything is trained."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from transformers import M2M100Config, MBartTokenizer

from flows.recipe import parse_recipe
from models.config import ScratchConfig
from models.errors import UnknownBase
from models.scratch import write_scratch
from records.task import TASKS, Task
from tests.models.test_every_task import train_small
from tests.terminal import Done, Terminal, terminal
from tests.tiny import write_base
from tests.tiny_texts import write_many_languages_base, write_translator_base

RECIPE = """
name: bad
task: translation
data: {source: pairs.csv, source_language: en, target_language: de}
base: {model: ./translator}
train: {epochs: 1, max_length: 48, max_target_length: 48, generation: {max_new_tokens: 16}}
gate: {minimum: 0.1}
"""


OTHER = ("train={epochs: 1, max_length: 48}", "gate={minimum: 9}")

LANGUAGE = ("task=language_modeling", "data={source: notes.txt}", *OTHER)

OF_LABELS = (
    "data={source: pairs.csv, text: source, label: target}", "base.model=./encoder",
    "train={epochs: 1, max_length: 48}", "gate={minimum: 0.5}",
)  # fmt: skip

CHAT = ("task=chat", "data={source: talks.jsonl, messages: messages}", *OTHER)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    folder = tmp_path_factory.mktemp("bad_texts")
    write_base(folder / "encoder")
    write_translator_base(folder / "translator", family="marian", layers=1, width=32)
    write_many_languages_base(folder / "many", MBartTokenizer, width=32)
    write_translator_base(folder / "kin", layers=1, width=32)
    M2M100Config(d_model=32).save_pretrained(folder / "kin")
    shape = {"architecture": "gpt2", "layers": 1, "width": 16, "positions": 64, "vocabulary": 400}
    write_scratch(ScratchConfig.model_validate(shape), ["a", "b"], frozenset(), folder / "decoder")
    (folder / "recipe.yaml").write_text(RECIPE)
    (folder / "pairs.csv").write_text("source,target\nThe dog.,Der Hund.\n" * 300, "utf-8")
    (folder / "notes.txt").write_text("A note.\n\nAnother one.\n", "utf-8")
    talk = '{"messages": [{%s"content": "Hi"}, {"role": "assistant", "content": "Hello"}]}\n'
    talks = talk % '"role": "user", ' + talk % ""
    (folder / "talks.jsonl").write_text(talks, "utf-8")
    (folder / "empty.txt").write_text("\n \n", "utf-8")
    with terminal(folder, HF_HUB_OFFLINE="1") as opened:
        yield opened


def refused(session: Terminal, command: str, *overrides: str, code: int = 2) -> str:
    sets = [part for item in overrides for part in ("--set", item)]
    done: Done = session.run(command, "recipe.yaml", *sets)
    assert done.code == code, done.err
    assert "Traceback" not in done.err
    return " ".join((done.err + done.out).split())


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("base.model=./encoder",), "is a bert that is no encoder-decoder; task translation needs"),
        (
            ("train.max_length=65", "train.generation.max_new_tokens=200"),
            "train.max_length=65, train.generation.max_new_tokens=200 exceed the 64 positions",
        ),
        (
            ("base.model=./many", "data.source_language=null", "data.target_language=null"),
            "must be told both languages: data.source_language is not said, data.target_language is",
        ),
        (
            ("base.model=./many", "data.target_language=tlh"),
            "data.target_language=tlh is none of its own; it knows ar, cs, de, en, es",
        ),
        (
            ("base.model=./kin",),
            "is a m2m_100, which must be told both languages by tokens of its own",
        ),
        (("gate.metric=accuracy",), "gate.metric: accuracy is none of translation's: chrf, bleu"),
        (("gate.minimum=30",), "30 is no chrf; give a share from 0 to below 1 (0.3 for 30 points)"),
        (("gate.slices.columns=[label]",), "'label' is not kept with the rows"),
        (
            ("base={scratch: {architecture: bert}}",),
            "'bert' has no head for translation; use t5 or",
        ),
        (
            ("base={scratch: {architecture: marian, positions: 32}}",),
            "train.max_target_length: 48 exceeds base.scratch.positions=32",
        ),
        (("data.target_language=German",), "data.target_language: string should match pattern"),
        (("data.source=sample:phrases?pair=en-fr",), "pair='en-fr': Input should be 'en-de'"),
        (
            ("data.source=sample:phrase",),
            "no sample 'phrase'; there are: reviews, complaints, dialogues, phrases",
        ),
        (("data.source=notes.txt",), "a text file has no columns target; it serves task"),
        (
            (*LANGUAGE, "data.source=empty.txt"),
            "no rows in 3 bytes; give a file with data",
        ),
        (
            (*LANGUAGE, "data.source=notes.txt", "data.label=target"),
            "a text file has no columns target; it serves task",
        ),
        (LANGUAGE, "is a marian, an encoder-decoder; task language_modeling needs a decoder"),
        ((*LANGUAGE, "base.model=./encoder", "train.max_length=65"), "exceeds the 64 positions"),
        ((*LANGUAGE, "gate.metric=chrf"), "chrf is none of language_modeling's: loss_per_token,"),
        ((*LANGUAGE, "gate.minimum=0"), "0 is no loss_per_token; give the most nats per token"),
        (
            (*LANGUAGE, "gate.metric=loss_per_byte", "gate.minimum=0"),
            "0 is no loss_per_byte; give the most nats per byte",
        ),
        (
            (*LANGUAGE, "gate.metric=loss_per_byte", "base={scratch: {architecture: bert}}"),
            "gate.metric: loss_per_byte compares with any model, and base.scratch.architecture='bert'",
        ),
        (
            (*LANGUAGE, "gate.metric=loss_per_byte", "base.model=./encoder"),
            "base.model='./encoder' fills in blanks, and what they cost compares with no other",
        ),
        (CHAT, "is a marian, an encoder-decoder; task chat needs a decoder"),
        (
            (*CHAT, "base.model=./decoder"),
            "there is no chat template; name a base that was made for chat, or set train.chat_template",
        ),
        (
            (
                *CHAT,
                "base.model=./decoder",
                "train.chat_template=plain",
                "train.strategy=lora",
                "train.lora.targets=[c_atn]",
            ),
            "'c_atn' is no linear layer of './decoder'; did you mean 'c_attn'?",
        ),
        (
            (*CHAT, "train.generation.max_new_tokens=48"),
            "max_new_tokens=48 leaves 0 of train.max_length=48 tokens to what is asked; lower it to "
            "24, or raise train.max_length to 96",
        ),
        (
            (*CHAT, "train.max_length=12"),
            "max_new_tokens=6 leaves 6 of train.max_length=12 tokens to what is asked; raise "
            "train.max_length to 14",
        ),
        (
            (
                *CHAT,
                "base.model=./decoder",
                "train.chat_template=plain",
                "train.max_length=128",
                "train.generation.max_new_tokens=100",
            ),
            "max_length=128 exceeds the 64 positions of './decoder'",
        ),
        (
            (
                *CHAT,
                "base={scratch: {architecture: gpt2, positions: 64}}",
                "train.chat_template=plain",
                "train.max_length=96",
            ),
            "train.max_length: 96 exceeds base.scratch.positions=64",
        ),
        ((*CHAT, "data.source=talks.jsonl"), "line 2, row 2: turn 1 has no role; give one of"),
        ((*CHAT, "train.chat_template=mine"), "train.chat_template: input should be 'model' or"),
        ((*CHAT, "gate.metric=bleu"), "bleu is none of chat's: loss_per_token, loss_per_byte,"),
        (
            ("task=classification", "data.label=''"),
            "data.label: is empty, but classification needs",
        ),
    ],
)
def test_a_wrong_setting_is_one_clear_error(
    session: Terminal, overrides: tuple[str, ...], said: str
) -> None:
    command = "check" if any(item.startswith("data.source=") for item in overrides) else "run"
    assert said in refused(session, command, *overrides)


@pytest.mark.parametrize(
    ("overrides", "tokens"),
    [((), 64), (("train.max_length=1024",), 128), (("train.generation.beams=1",), 64),
     (("train={max_length: 96, generation: {max_new_tokens: 16}}",), 16)],
)  # fmt: skip
def test_an_answer_of_which_nothing_is_said_leaves_room_to_the_question(
    overrides: tuple[str, ...], tokens: int
) -> None:
    values = {"name": "a", "task": "chat", "data": {"source": "t.jsonl"}, "gate": {"minimum": 9}}
    recipe = parse_recipe(values, overrides)
    assert recipe.train.generation.max_new_tokens == tokens
    assert not recipe.train.shared_length_problem


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("train.lora.targets=[q_prj]",), "'q_prj' is no linear layer of './translator'; did you"),
        (
            (*LANGUAGE, "base.model=./decoder", "train.lora.targets=[c_atn, fc]"),
            "'fc' is no linear layer of './decoder'; did you mean 'c_fc'?",
        ),
        (
            ("task=classification", *OF_LABELS, "train.lora.targets=[quer]"),
            "'quer' is no linear layer of './encoder'; did you mean 'query'?",
        ),
        (
            ("task=multilabel", *OF_LABELS, "train.lora.targets=[zzz]"),
            "'zzz' is no linear layer of './encoder'; known: dense, key, query, value",
        ),
    ],
    ids=["translation", "language_modeling", "classification", "multilabel"],
)
def test_adapters_on_layers_that_are_not_there_are_refused_in_every_task(
    session: Terminal, overrides: tuple[str, ...], said: str
) -> None:
    assert said in refused(session, "run", *overrides, "train.strategy=lora")


@pytest.mark.parametrize(
    ("answer", "code"), [("", 4), ("   ", 4), ("An answer.", 0)], ids=["none", "blank", "some"]
)
def test_a_prompt_without_its_answer_is_refused_by_name(
    session: Terminal, answer: str, code: int
) -> None:
    rows = [f"What is {i}?,{answer if i % 2 else f'It is {i}.'}" for i in range(600)]
    (session.folder / "asked.csv").write_text("\n".join(["prompt,answer", *rows]), "utf-8")
    said = refused(session, "check", "task=chat", "data={source: asked.csv}", *OTHER, code=code)
    assert ("nulls:answer" in said) is bool(code)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("source,ziel\na,b\n", "column 'target' is missing; there are: 'source', 'ziel'"),
        ("source,target\n" + "The dog.,\n" * 300, "nulls:target"),
        ("source,target\n" + "Der Hund ist in dem Garten.,The dog is in the garden.\n" * 300,
         "source_language"),
        ("source,target\n" + "The dog barks.,the dog barks.\n" * 300, "copied_targets"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_by_name(session: Terminal, content: str, said: str) -> None:
    (session.folder / "other.csv").write_text(content, "utf-8")
    code = 2 if "missing" in said else 4
    assert said in refused(session, "check", "data.source=other.csv", code=code)


@pytest.mark.parametrize(
    ("cells", "said", "code"),
    [
        (["a|b", "b|a|b"], "line 3, row 2, column 'labels': label 'b' stands twice in", 2),
        (["a", "a|"], "line 3, row 2, column 'labels': an empty label in 'a|'", 2),
        (["a|b", "['a', 'b']"], "['a', 'b']\" is no list in JSON; write", 2),
        (["a", "b"], "refused: several_labels", 4),
        (["a", "b", "a;b"], "refused: label_separator", 4),
        (["a|b", ""], "nulls:labels", 4),
    ],
)
def test_a_wrong_set_of_labels_is_refused_by_name(
    session: Terminal, cells: list[str], said: str, code: int
) -> None:
    rows = [f'text {i},"{cells[i % len(cells)]}"' for i in range(300)]
    (session.folder / "tags.csv").write_text("\n".join(["text,labels", *rows]), "utf-8")
    overrides = ("task=multilabel", "data={source: tags.csv}", "train={epochs: 1}",
                 "gate={minimum: 0.5}")  # fmt: skip
    assert said in refused(session, "check", *overrides, code=code)


@pytest.mark.parametrize("task", TASKS)
def test_a_tokenizer_of_another_model_is_refused(task: Task, tmp_path: Path) -> None:
    """Its ids beyond the embedding would be an IndexError in the first step."""
    kind = TASKS[task].architectures[0]
    for name, vocabulary in (("base", 320), ("other", 600)):
        rows = [f"word{i} is number {i * 7919}" for i in range(vocabulary)]
        shape = {"architecture": kind, "layers": 1, "width": 16, "heads": 2, "positions": 64,
                 "vocabulary": vocabulary}  # fmt: skip
        write_scratch(ScratchConfig.model_validate(shape), rows, frozenset(), tmp_path / name)
    tokenizer = (tmp_path / "other" / "tokenizer.json").read_bytes()
    (tmp_path / "base" / "tokenizer.json").write_bytes(tokenizer)
    with pytest.raises(UnknownBase, match=r"has 600 tokens and its model 320; they do not belong"):
        train_small(task, kind, tmp_path, "model")


def test_a_translator_without_its_end_token_is_refused(tmp_path: Path) -> None:
    from transformers import AutoTokenizer, T5ForConditionalGeneration

    from models.lesson import check_tokens

    folder = write_translator_base(tmp_path / "base", layers=1, width=32)
    file = folder / "tokenizer_config.json"
    settings = json.loads(file.read_text("utf-8"))
    settings.pop("eos_token")
    file.write_text(json.dumps(settings), "utf-8")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = T5ForConditionalGeneration.from_pretrained(folder)
    with pytest.raises(UnknownBase, match="has no eos_token; add one"):
        check_tokens(tokenizer, model, "base", "pad_token", "eos_token")
