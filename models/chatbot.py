"""A saved chat model, loaded from its folder, and what it answers.

This file is shipped with every registered chat model, so it imports torch, transformers and the
standard library only: what is scored and what a consumer runs are the same lines. A prompt is a
question, or the turns so far as JSON: [{"content": ..., "role": "user"}, ...].

Shapes: B prompts in a batch, T tokens of the longest of them.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

BATCH_SIZE = 32
BATCH_RULE = "prompts sorted by tokens, 32 rows, padded left to the longest"
IGNORED = -100
FEWEST_ASKED = 8
"""Tokens of a prompt that are kept, however long the answer may be."""
PLAIN = (
    "{% for turn in messages %}{{ turn.role | capitalize }}: {{ turn.content | trim }}"
    "{% if turn.role == 'assistant' %}{{ eos_token }}{% endif %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
"""`train.chat_template: plain`, for bases that never had a template of their own."""


class TemplateError(ValueError):
    """The chat template is missing, or an answer does not end where the model can stop."""


class Chatbot:
    """Tokenizer with its chat template, and decoder; it answers by the settings saved with it.

    Args:
        model: in evaluation mode, on its device.
        tokenizer: with a chat template.
        settings: generation settings that take the place of those in the folder.

    Raises:
        TemplateError: see there.
    """

    def __init__(self, model: Any, tokenizer: Any, **settings: Any) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.settings = settings
        self.num_truncated = 0
        """Prompts of the last call that were cut, at their beginning."""
        self.stopped: list[bool] = []
        """Per prompt of the last call, whether the answer ended by itself."""
        self.stop_id = self._find_stop()

    @classmethod
    def load(
        cls, folder: str | Path, max_length: int | None = None, plain: bool = False, **settings: Any
    ) -> "Chatbot":
        """Load a folder with safetensors.

        Args:
            folder: transformers folder.
            max_length: most tokens of a dialogue; None: what was saved with the tokenizer.
            plain: use PLAIN, whatever the folder says.
            settings: generation settings in place of those in the folder.

        Raises:
            OSError, ValueError, KeyError, RuntimeError: it cannot be loaded.
        """
        is_cuda = torch.cuda.is_available()
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        model: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            attn_implementation="sdpa" if is_cuda else "eager",
        )
        positions = getattr(model.config, "max_position_embeddings", None) or 2**20
        tokenizer.model_max_length = min(max_length or tokenizer.model_max_length, positions)
        if plain:
            tokenizer.chat_template = PLAIN
        return cls(model.to("cuda" if is_cuda else "cpu").eval(), tokenizer, **settings)

    def __call__(self, prompts: Sequence[str]) -> list[str]:
        """The answer to each prompt, in their order."""
        outputs, self.stopped = [""] * len(prompts), [False] * len(prompts)
        for places, rows in self.batches(prompts):
            for place, (output, is_stopped) in zip(places, self._write(rows), strict=True):
                outputs[place], self.stopped[place] = output, is_stopped
        return outputs

    def batches(self, prompts: Sequence[str]) -> list[tuple[list[int], list[list[int]]]]:
        """Positions of prompts and their token ids, as they are answered together."""
        limit = max(FEWEST_ASKED, self.tokenizer.model_max_length - self._max_new_tokens())
        whole = [self._start() + self._ids(self._render(messages_of(p), True)) for p in prompts]
        self.num_truncated = sum(len(ids) > limit for ids in whole)
        ids = [row[-limit:] for row in whole]
        order = sorted(range(len(ids)), key=lambda i: (len(ids[i]), i))
        groups = [order[k : k + BATCH_SIZE] for k in range(0, len(order), BATCH_SIZE)]
        return [(group, [ids[i] for i in group]) for group in groups]

    def dialogue(self, prompt: str, answer: str, *, learn_all: bool) -> tuple[list[int], list[int]]:
        """Token ids of a dialogue, and what each position should give: only the assistant's tokens.

        Args:
            prompt: turns before the answer.
            answer: the assistant's last turn.
            learn_all: its earlier turns count as well.

        Returns:
            ids [T] and targets [T], of the last `model_max_length` tokens; a target is the next id
            where the assistant says it, its stop token included, and IGNORED elsewhere.
        """
        ids, targets = self.whole_dialogue(prompt, answer, learn_all=learn_all)
        limit = self.tokenizer.model_max_length
        return ids[-limit:], targets[-limit:]

    def whole_dialogue(
        self, prompt: str, answer: str, *, learn_all: bool
    ) -> tuple[list[int], list[int]]:
        """The same of all its tokens, however many the model can see."""
        turns = [*messages_of(prompt), {"role": "assistant", "content": answer}]
        ids, is_said, before = self._start(), [False] * len(self._start()), ""
        for number, turn in enumerate(turns):
            if turn["role"] != "assistant":
                continue
            asked, said = (
                self._render(turns[:number], True),
                self._render(turns[: number + 1], False),
            )
            is_learned = learn_all or number == len(turns) - 1
            if not asked.startswith(before):
                # An old answer is written otherwise now, without its thoughts: it is not learned.
                ids, is_said, before = self._start(), [False] * len(self._start()), ""
            lead, answer_ids = self._ids(asked[len(before) :]), self._ids(said[len(asked) :])
            last = answer_ids.index(self.stop_id) if self.stop_id in answer_ids else -1
            ids += lead + answer_ids
            is_said += [False] * len(lead)
            is_said += [is_learned and place <= last for place in range(len(answer_ids))]
            before = said
        targets = [i if said_ else IGNORED for i, said_ in zip(ids[1:], is_said[1:], strict=True)]
        return ids[:-1], targets

    def losses(self, prompts: Sequence[str], answers: Sequence[str]) -> list[tuple[float, int]]:
        """Per dialogue the sum of -log P over the tokens of its last answer, and their number.

        An answer that is longer than the model can see is asked for piece by piece, so that a model
        that sees less is charged for no fewer tokens.
        """
        device = next(self.model.parameters()).device
        found = []
        with torch.inference_mode():
            for prompt, answer in zip(prompts, answers, strict=True):
                ids, targets = self.whole_dialogue(prompt, answer, learn_all=False)
                total = 0.0
                for piece in self._pieces(targets):
                    input_ids_1T = torch.tensor([ids[piece]], device=device)
                    loss = torch.nn.functional.cross_entropy(
                        self.model(input_ids=input_ids_1T).logits[0].double(),
                        torch.tensor(targets[piece], device=device),
                        ignore_index=IGNORED, reduction="sum",
                    )  # fmt: skip
                    total += float(loss)
                found.append((total, sum(target != IGNORED for target in targets)))
        return found

    def _pieces(self, targets: Sequence[int]) -> Iterator[slice]:
        """From the end, as many windows of `model_max_length` positions as hold all that is asked for."""
        first = next(k for k, target in enumerate([*targets, 0]) if target != IGNORED)
        for end in range(len(targets), first, -self.tokenizer.model_max_length):
            yield slice(max(0, end - self.tokenizer.model_max_length), end)

    def _render(self, messages: Sequence[dict[str, str]], is_asking: bool) -> str:
        """The dialogue as the template writes it; special tokens that a turn spells out are left out.

        A template that knows thoughts (Qwen3's) is asked for none: answers hold none to learn.
        """
        clean = [{**turn, "content": self._without_tokens(turn["content"])} for turn in messages]
        text: str = self.tokenizer.apply_chat_template(
            clean, tokenize=False, add_generation_prompt=is_asking, enable_thinking=False
        )
        return text

    def _without_tokens(self, content: str) -> str:
        for token in self.tokenizer.all_special_tokens:
            content = content.replace(token, "")
        return content

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(
            text, add_special_tokens=False, truncation=False, split_special_tokens=False
        )["input_ids"]
        return ids

    def _start(self) -> list[int]:
        """The beginning token, where the tokenizer has one and the template does not write it."""
        token = self.tokenizer.bos_token
        is_written = token is None or token in (self.tokenizer.chat_template or "")
        is_written = is_written or "bos_token" in (self.tokenizer.chat_template or "")
        return [] if is_written else [self.tokenizer.bos_token_id]

    def _find_stop(self) -> int:
        if not getattr(self.tokenizer, "chat_template", None):
            raise TemplateError("there is no chat template")
        turns = [{"role": "user", "content": "what"}, {"role": "assistant", "content": "that"}]
        asked, said = self._render(turns[:1], True), self._render(turns, False)
        if "what" not in asked:
            raise TemplateError("the chat template leaves out what the user says")
        if not said.startswith(asked):
            raise TemplateError("the chat template writes a question otherwise once it is answered")
        return self._stop_after(said[len(asked) :], turns[1]["content"])

    def _stop_after(self, answer: str, content: str) -> int:
        """The special token that ends an answer, as the template writes it."""
        special = set(self.tokenizer.all_special_ids)
        ids = self._ids(answer)
        last = next((place for place, i in enumerate(ids) if i in special), None)
        if last is None:
            raise TemplateError(
                "the chat template ends an answer by no special token: nothing to stop at"
            )
        stop = self.tokenizer.convert_ids_to_tokens(ids[last])
        if content not in answer.partition(stop)[0]:
            raise TemplateError(
                f"the chat template writes {stop} before an answer is over, and the model would stop "
                "there"
                if content in answer
                else "the chat template leaves out what the assistant says"
            )
        return ids[last]

    def _max_new_tokens(self) -> int:
        own = getattr(self.model.generation_config, "max_new_tokens", None)
        return int(self.settings.get("max_new_tokens", own or 128))

    def padded(self, rows: list[list[int]]) -> dict[str, Any]:
        """Prompts to what `generate` takes: input_ids and attention_mask (B, T), and the padding."""
        longest, pad_id = max(map(len, rows)), self.tokenizer.pad_token_id
        pad_id = self.stop_id if pad_id is None else pad_id
        device = next(self.model.parameters()).device
        ids_BT = torch.tensor([[*[pad_id] * (longest - len(row)), *row] for row in rows])
        mask_BT = torch.tensor([[*[0] * (longest - len(row)), *[1] * len(row)] for row in rows])
        return {
            "input_ids": ids_BT.to(device),
            "attention_mask": mask_BT.to(device),
            "pad_token_id": pad_id,
        }

    def _write(self, rows: list[list[int]]) -> list[tuple[str, bool]]:
        longest = max(map(len, rows))
        with torch.inference_mode():
            output_ids = self.model.generate(
                **self.padded(rows), **{"eos_token_id": self.stop_id, **self.settings}
            )
        answers = []
        for row in output_ids[:, longest:].tolist():
            is_stopped = self.stop_id in row
            said = row[: row.index(self.stop_id)] if is_stopped else row
            answers.append(
                (self.tokenizer.decode(said, skip_special_tokens=True).strip(), is_stopped)
            )
        return answers


def messages_of(prompt: str) -> list[dict[str, str]]:
    """The turns of a prompt: as its JSON says, or the prompt as the only user's turn."""
    if prompt.startswith('[{"content":'):
        try:
            return [{"role": t["role"], "content": t["content"]} for t in json.loads(prompt)]
        except (ValueError, KeyError, TypeError):
            pass
    return [{"role": "user", "content": prompt}]
