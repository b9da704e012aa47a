"""Between text and tokens: prompts through the chat template, ends of completions, what a tokenizer lacks."""

from collections.abc import Sequence
from typing import Any

from heeler.core.errors import ConfigError, ContextTooLong, DataError
from heeler.core.nouns import PLAIN, Message


class TokenReader:
    """A tokenizer that was looked over.

    Args:
        tokenizer: transformers' own.
        max_length: of the model's context.
        num_embeddings: tokens that the model knows.

    Raises:
        ConfigError: it has no end-of-text token, or more tokens than the model.
    """

    def __init__(self, tokenizer: Any, *, max_length: int, num_embeddings: int) -> None:
        if tokenizer.eos_token_id is None:
            raise ConfigError(
                "the tokenizer has no end-of-text token (eos_token), and completions would never end; name the one "
                "that ends a text by --eos-token, or as eos_token in tokenizer_config.json of the model's folder"
            )
        largest = max([*tokenizer.get_vocab().values(), tokenizer.eos_token_id])
        if largest >= num_embeddings:
            raise ConfigError(
                f"the tokenizer knows tokens up to {largest}, and the model's embeddings end at {num_embeddings - 1}; "
                "this tokenizer belongs to another model"
            )
        self._tokenizer = tokenizer
        self._max_length = max_length
        self.eos_id: int = tokenizer.eos_token_id
        # Filling is never looked at, so that any token will do where there is none for it.
        self.pad_id: int = self.eos_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id

    def end_ids(self, generation_config: Any) -> tuple[int, ...]:
        """Tokens that end a completion: the tokenizer's, and with it others that the model's makers name."""
        named = getattr(generation_config, "eos_token_id", None)
        others = named if isinstance(named, list) else []
        # A list without the tokenizer's own token was made for another tokenizer.
        return (self.eos_id, *(i for i in others if i != self.eos_id)) if self.eos_id in others else (self.eos_id,)

    def prompt_ids(self, prompt: Sequence[Message]) -> list[int]:
        """Tokens of a prompt.

        Raises:
            ContextTooLong: it is longer than the model's context.
            DataError: it is a chat, and the tokenizer has no template or its template refuses it.
        """
        ids = self.untruncated_ids(prompt)
        if len(ids) >= self._max_length:
            raise ContextTooLong(
                f"prompt: {len(ids)} tokens, and the model's context holds {self._max_length}; shorten it"
            )
        return ids

    def untruncated_ids(self, prompt: Sequence[Message]) -> list[int]:
        """The same of any length, for those who cut prompts themselves.

        Raises:
            DataError: it is a chat, and the tokenizer has no template or its template refuses it.
        """
        ids = self._plain_ids(prompt) if not prompt or prompt[0].role == PLAIN else self._chat_ids(prompt)
        # Something must come before the first token of a completion.
        return ids or [self.eos_id]

    def _plain_ids(self, prompt: Sequence[Message]) -> list[int]:
        text = "".join(message.content for message in prompt)
        ids = list(self._tokenizer(text)["input_ids"])
        # Some tokenizers end whatever they read; a prompt goes on.
        if ids and ids[-1] == self.eos_id and not text.endswith(self._tokenizer.eos_token):
            ids.pop()
        return ids

    def _chat_ids(self, prompt: Sequence[Message]) -> list[int]:
        if not self._tokenizer.chat_template:
            raise DataError(
                "prompt: a chat, and the tokenizer has no chat template; give one by --chat-template, save it as "
                "chat_template.jinja in the model's folder, or send plain text"
            )
        messages = [{"role": message.role, "content": self._only_text(message.content)} for message in prompt]
        try:
            ids = self._tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        except Exception as error:
            # Templates are programs: whatever they raise says what they do not take, such as a role.
            raise DataError(f"prompt: the chat template refuses it: {error}") from error
        return list(ids)

    def _only_text(self, content: str) -> str:
        """A message in which no token of the template is spelled out: nobody writes another's turn into their own."""
        for token in self._special:
            if token in content:
                content = content.replace(token, f"{token[0]} {token[1:]}")
        return content

    @property
    def _special(self) -> list[str]:
        added = self._tokenizer.added_tokens_decoder.values()
        # A token of one character cannot be broken up.
        return [token.content for token in added if token.special and len(token.content) > 1]

    def text(self, ids: Sequence[int]) -> str:
        """What tokens say, without those that say nothing themselves."""
        return self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
