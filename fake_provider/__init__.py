"""A provider of models that costs nothing: the wire formats of the real ones over real HTTP, and all their failures.

It imports nothing of the service that is tested against it: it knows what goes over the wire, as a real one does.
`raptor fake-provider --port 8100` serves it; RAPTOR_PROVIDER_BASE_URL_OVERRIDE sends every provider there, whose paths
stay as they are. `docs/fake-provider.md` has examples and describes every fault.

**Endpoints** are told apart by how the path of a POST ends: `/chat/completions`, `/embeddings`,
`/contextualizedembeddings`, `/rerank`. Whose **dialect** is spoken, which decides the shape of answers and errors:

- by path: `/v1beta/openai/…` Gemini, `/compatible-mode/…` DashScope, `/openai/v1/…` Azure, `/compatibility/…` and
  `/v2/…` Cohere, `/chat/completions` itself DeepSeek, anything else OpenAI and the many that copy it;
- embeddings by model: `voyage-…` Voyage, `pplx-…` Perplexity; contextual ones by field: `inputs` Voyage, `input`
  Perplexity;
- `/rerank` by field: `texts` is TEI; `top_k`, `truncation` or a model `rerank-<number>` is Voyage; else Jina, whose
  shape is vLLM's too.

**Answers** are functions of the request and the seed. What is asked for (a summary, lists of numbers, an answer from
sources) is read from the messages, and is written in sentences of the texts that they hold; vectors are near where
texts share words; tokens are those of OpenAI's vocabulary o200k.

**Keys** decide by their beginning: `bad` 401, `quota` 429, `broke` 402, `denied`
403, none at all 401.

**Control**: `GET /_stats`, `GET /_totals`, `GET /_calls`, `GET|POST|DELETE /_faults`, `POST /_reset`.

**Faults** (`faults.KINDS`):
status, insufficient_quota, unsupported_parameter, context_length_exceeded, model_not_found,
content_filter_prompt; refuse_connection, reset, hang, hang_midway, slow, late_success, truncated_json, invalid_json,
html, wrong_content_type, huge_body, gzip_bomb; fewer, more, reordered, reordered_wrong_index, duplicate_index,
wrong_dimension, nan, inf, zero, 1e39; empty, whitespace, refusal, refusal_in_text, length, repetition,
longer_than_input, invented, echo_injection, content_filter, content_not_json, drop_everything; huge_usage, no_usage,
zero_usage; limits.
"""

from __future__ import annotations

from fake_provider.app import create_fake_provider
from fake_provider.faults import FaultRule
from fake_provider.running import CannotListen, RunningFakeProvider, running_fake_provider, serve

__all__ = [
    "CannotListen",
    "FaultRule",
    "RunningFakeProvider",
    "create_fake_provider",
    "running_fake_provider",
    "serve",
]
