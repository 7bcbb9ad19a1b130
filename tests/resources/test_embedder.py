import json
import subprocess
import sys

import numpy as np
import pytest

from resources.chat.calls import EndpointUnusable
from resources.chat.profile import EmbedderModel, Endpoint, Profile, load_profile
from resources.chat.retries import RetryPolicy
from resources.configuration import ConfigurationError
from resources.embedder import EmbeddedEmbedder, EndpointEmbedder, SentenceTransformersEmbedder, open_embedder
from tests.fake_endpoint import Answer, FakeEndpoint, SeenRequest

TEXTS = [
    "Tom has 3 apples and buys 4 more. How many apples has he now?",
    "Anna owns 5 pears and is given 2. How many pears does she have?",
    "Write a Python function that reverses a list.",
]
REFERENCE_COSINES = [0.5921892, 0.06761207, 0.07422853]  # of these texts, by sentence-transformers 6.2


def remote(endpoint: FakeEndpoint, **options: object) -> Endpoint:
    return Endpoint.model_validate({"base_url": endpoint.base_url, **options})


def profile_with(embedder: EmbedderModel) -> Profile:
    return load_profile("hosted").model_copy(update={"embedder": embedder})


def test_vectors_of_an_endpoint_are_unit_vectors_in_order(fake_endpoint: FakeEndpoint) -> None:
    embedder = EndpointEmbedder("remote", remote(fake_endpoint), "some-model", batch_size=1)

    vectors = embedder.embed(TEXTS)

    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    for text, vector in zip(TEXTS, vectors, strict=True):
        np.testing.assert_allclose(embedder.embed([text])[0], vector, rtol=1e-5)


def test_an_endpoint_gets_batches_of_the_configured_size(fake_endpoint: FakeEndpoint) -> None:
    EndpointEmbedder("remote", remote(fake_endpoint), "some-model", batch_size=2).embed(TEXTS)

    assert sorted(len(request.body["input"]) for request in fake_endpoint.requests) == [1, 2]


def test_an_endpoint_gets_model_key_and_further_fields(
    fake_endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY", "a-secret")
    endpoint = remote(fake_endpoint, api_key_env="SOME_KEY", extra_body={"truncate_prompt_tokens": -1})

    EndpointEmbedder("remote", endpoint, "some-model").embed(TEXTS)

    (request,) = fake_endpoint.requests
    assert request.headers["authorization"] == "Bearer a-secret"
    assert request.model == "some-model"
    assert request.body["truncate_prompt_tokens"] == -1


@pytest.mark.parametrize(
    ("indexes", "order"),
    [([1, 0], [1, 0]), ([None, 1], [0, 1]), ([None, None], [0, 1]), (["absent", 0], [0, 1])],
    ids=["given", "one is null", "all are null", "one is absent"],
)
def test_rows_without_an_index_are_taken_in_order(
    fake_endpoint: FakeEndpoint, indexes: list[int | str | None], order: list[int]
) -> None:
    rows: list[dict[str, object]] = [{"embedding": [1.0, 0.0], "index": 0}, {"embedding": [0.0, 1.0], "index": 1}]
    for row, index in zip(rows, indexes, strict=True):
        row["index"] = index
        if index == "absent":
            del row["index"]
    fake_endpoint.answer_embeddings_with(FakeEndpoint.sends(json.dumps({"data": rows})))
    vectors = EndpointEmbedder("remote", remote(fake_endpoint), "some-model").embed(TEXTS[:2])
    np.testing.assert_allclose(vectors[order], np.eye(2))


def test_texts_that_are_too_long_for_the_model_are_cut(fake_endpoint: FakeEndpoint) -> None:
    def rule(request: SeenRequest) -> Answer | None:
        too_long = any(len(text) > 600 for text in request.body["input"])
        return FakeEndpoint.fails(400, "This model's maximum context length is 256 tokens.") if too_long else None

    fake_endpoint.answer_embeddings_with(rule)
    embedder = EndpointEmbedder("remote", remote(fake_endpoint), "some-model")
    vectors = embedder.embed(["short", "long " * 400])
    np.testing.assert_allclose(vectors, embedder.embed(["short", "long " * 100]), rtol=1e-5)


def test_a_failing_endpoint_is_asked_again(fake_endpoint: FakeEndpoint) -> None:
    fake_endpoint.answer_embeddings_with(FakeEndpoint.fails(500, "no memory"))
    embedder = EndpointEmbedder("remote", remote(fake_endpoint), "some-model", retries=RetryPolicy(first_wait=0.0))
    with pytest.raises(EndpointUnusable, match="6 attempts, the last: HTTP 500: no memory"):
        embedder.embed(TEXTS[:1])
    assert len(fake_endpoint.requests) == 6


def test_no_texts_make_no_call(fake_endpoint: FakeEndpoint) -> None:
    assert len(EndpointEmbedder("remote", remote(fake_endpoint), "some-model").embed([])) == 0
    assert not fake_endpoint.requests


def test_an_unset_key_is_named_before_any_call(fake_endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)

    with pytest.raises(ConfigurationError, match="SOME_KEY, which is not set"):
        EndpointEmbedder("remote", remote(fake_endpoint, api_key_env="SOME_KEY"), "some-model")


def test_an_endpoint_without_embeddings_is_unusable(fake_endpoint: FakeEndpoint) -> None:
    elsewhere = Endpoint(base_url=f"{fake_endpoint.base_url}/elsewhere")

    with pytest.raises(EndpointUnusable, match=r"'remote' at .*/v1/elsewhere .*embedder with model 'some-model'.*404"):
        EndpointEmbedder("remote", elsewhere, "some-model").embed(TEXTS)


def test_a_profile_opens_the_embedder_it_names() -> None:
    assert open_embedder(load_profile("laptop")).identity == "embedded:all-MiniLM-L6-v2"
    hosted = profile_with(EmbedderModel(kind="openai", endpoint="hosted", model="m"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OPENAI_API_KEY", "a-secret")
        assert open_embedder(hosted).identity == "openai:m"


def test_the_embedded_embedder_knows_one_model_only() -> None:
    with pytest.raises(ConfigurationError, match=r"only has all-MiniLM-L6-v2 \(given: 'another'\)"):
        open_embedder(profile_with(EmbedderModel(kind="embedded", model="another")))


def test_missing_sentence_transformers_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(ConfigurationError, match="pip install sentence-transformers"):
        SentenceTransformersEmbedder("all-MiniLM-L6-v2")


def test_nothing_heavy_is_imported_with_the_module() -> None:
    program = "import sys, resources.embedder; print([n for n in ('torch', 'openai', 'xllamacpp') if n in sys.modules])"

    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "[]"


@pytest.mark.embedded
@pytest.mark.usefixtures("embedded_folders")
class TestEmbedded:
    def test_vectors_are_unit_vectors(self) -> None:
        vectors = EmbeddedEmbedder().embed(TEXTS)

        assert vectors.shape == (3, 384)
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)

    def test_similar_questions_are_closer(self) -> None:
        apples, pears, lists = EmbeddedEmbedder().embed(TEXTS)

        assert apples @ pears > 0.5 > apples @ lists

    def test_batches_do_not_change_the_vectors(self) -> None:
        np.testing.assert_allclose(EmbeddedEmbedder(1).embed(TEXTS), EmbeddedEmbedder(3).embed(TEXTS), atol=1e-5)

    def test_a_text_beyond_the_models_window_is_cut(self) -> None:
        long = "a question about apples " * 100

        whole, cut = EmbeddedEmbedder().embed([long + "and something else", long])

        np.testing.assert_allclose(whole, cut, atol=1e-5)

    def test_a_proxy_in_the_environment_is_not_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")

        assert EmbeddedEmbedder().embed(TEXTS).shape == (3, 384)

    def test_reference_vectors_are_met(self) -> None:
        vectors = EmbeddedEmbedder().embed(TEXTS)
        similarity = vectors @ vectors.T

        np.testing.assert_allclose(similarity[np.triu_indices(3, 1)], REFERENCE_COSINES, atol=1e-3)
