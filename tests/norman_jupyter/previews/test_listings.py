"""Versions, models, logs, invocations and the server's state as tables."""

from __future__ import annotations

import dataclasses
import html
import re

import pytest

from norman_jupyter.previews.listings import (
    FoundInvocations,
    FoundModels,
    ShownModel,
    render_invocations,
    render_log,
    render_model,
    render_models,
    render_status,
)
from norman_jupyter.previews.versions import render_version, short_time
from norman_protocol.media import Layout
from norman_protocol.messages import Caller, DeploymentStatus, DeviceStatus, Timings
from norman_protocol.rest import (
    ErrorBody,
    ExecutorStatus,
    FileEntry,
    InvocationPage,
    InvocationSummary,
    LogText,
    Manifest,
    ModelDetail,
    ModelPage,
    ModelSummary,
    Origin,
    RelayStatus,
    ServerStatus,
    TrustRecord,
    VersionDetail,
    VersionSummary,
)
from norman_protocol.signature import Modality, Parameter, Signature

TIME = "2031-05-06T07:08:09.123456+00:00"
HOSTILE = "<script>alert(1)</script>\x1b[31m" + "x" * 5000 + "\n" * 50


def make_version(**changes) -> VersionDetail:
    facts = {
        "id": "01" * 16,
        "reference": "digits@3",
        "name": "digits",
        "number": 3,
        "state": "ready",
        "active": True,
        "label": "best",
        "description": "reads digits",
        "tags": ("a", "b"),
        "runtime": "python",
        "entry": "model.py",
        "interpreter": "/opt/python",
        "signature": Signature(
            inputs=(
                Parameter(
                    name="image",
                    modality=Modality.TENSOR,
                    dtype="float32",
                    shape=("n", 8, None),
                    description="grey values",
                ),
                Parameter(
                    name="top", modality=Modality.INTEGER, required=False, default=3, nullable=True
                ),
            ),
            outputs=(Parameter(name="label", modality=Modality.TEXT),),
        ),
        "manifest": Manifest(
            files=tuple(
                FileEntry(path=f"f{i:02}.bin", digest="0" * 64, size_bytes=1500) for i in range(20)
            )
        ),
        "bundle_digest": "ab" * 32,
        "size_bytes": 30_000,
        "load_s": 1.5,
        "created_at": TIME,
        "created_by": "ada",
        "origin": Origin(
            notebook="work/train.ipynb",
            cell_id="c1",
            kernel_id="k1",
            kernel_name="python3",
            python_version="3.12.1",
            interpreter="/opt/python",
            hostname="host",
            user="ada",
            source_path="/home/ada/model",
            git_commit="0123456789abcdef",
            git_branch="main",
            git_remote="https://example.org/r.git",
            git_dirty=True,
        ),
        "trust": TrustRecord(user="ada", trusted_at=TIME, bundle_digest="ab" * 32),
        "error": None,
    }
    return VersionDetail(**{**facts, **changes})


def make_summary(**changes) -> ModelSummary:
    facts = {
        "name": "digits",
        "active": 3,
        "latest": 4,
        "version_count": 4,
        "state": "ready",
        "description": "reads digits",
        "tags": (),
        "runtime": "onnx",
        "updated_at": TIME,
    }
    return ModelSummary(**{**facts, **changes})


def make_detail(count: int = 2, **changes) -> ModelDetail:
    versions = tuple(
        VersionSummary(
            reference=f"digits@{number}",
            name="digits",
            number=number,
            state="ready",
            active=number == 1,
            label="first" if number == 1 else None,
            runtime="onnx",
            size_bytes=1500,
            created_at=TIME,
            created_by="ada",
        )
        for number in range(count, 0, -1)
    )
    return ModelDetail(model=make_summary(version_count=count, **changes), versions=versions)


def test_version_tells_everything():
    text = render_version(make_version())["text/plain"]
    for part in (
        "digits@3 · ready, active · python · 30.0 kB · loaded in 1.50 s",
        "in   image  float32[n,8,?]  grey values",
        "in   top    integer         default 3 · may be None",
        "out  label  text",
        "label        best",
        "tags         a, b",
        "entry        model.py",
        "trust        by ada, 2031-05-06 07:08 UTC",
        "created      2031-05-06 07:08 UTC by ada",
        "notebook     work/train.ipynb, cell c1",
        "kernel       python3, k1",
        "git commit   0123456789ab with uncommitted changes on main",
        "git remote   https://example.org/r.git",
        "host         ada at host",
        "files        f00.bin (1.5 kB)",
        "… and 8 files more",
    ):
        assert part in text


def test_brief_version_tells_name_state_and_signature():
    text = render_version(make_version(active=False), brief=True)["text/plain"]
    assert "ready, not active" in text
    assert "float32[n,8,?]" in text
    assert "train.ipynb" not in text


def test_html_tells_what_the_text_tells():
    html = render_version(make_version())["text/html"]
    for part in ("digits@3", "float32[n,8,?]", "grey values", "train.ipynb", "0123456789ab"):
        assert part in html


def test_failed_version_says_why_with_traceback_and_log():
    error = ErrorBody(
        code="load_failed",
        message="digits@3 could not load.",
        details={"traceback": 'File "model.py", line 3\nOSError: no weights', "log": "importing"},
    )
    bundle = render_version(make_version(state="failed", active=False, signature=None, error=error))
    for text in bundle.values():
        assert "digits@3 could not load." in text
        assert "load_failed" not in text
        assert "OSError: no weights" in text
        assert "importing" in text
        places = [text.index(part) for part in ("failed", "could not", "no weights", "ada")]
        assert places == sorted(places)
    assert bundle["text/plain"].startswith("digits@3 · failed · python")
    assert re.search(r"color:[^>]*>failed</span>", bundle["text/html"])


def test_version_with_damaged_files_names_them_and_what_heals_them():
    version = make_version()
    lost = version.manifest.files[0]
    bundle = render_version(dataclasses.replace(version, missing_blobs=(lost.digest,)))
    for text in bundle.values():
        assert "Damaged on the server" in text
        assert lost.path in text
        assert "Upload the same files again" in text


def test_huge_traceback_of_a_failed_version_keeps_both_its_ends():
    error = ErrorBody(
        code="load_failed", message="m", details={"traceback": f"BEGIN{'x' * 100_000}END"}
    )
    for text in render_version(make_version(state="failed", error=error)).values():
        assert "BEGIN" in text
        assert "characters left out" in text
        assert "END" in text
        assert len(text) < 20_000


def test_error_with_odd_details_is_shown():
    error = ErrorBody(code="x", message="m", details={"traceback": 5, "log": None})
    assert "\nm\n" in render_version(make_version(error=error))["text/plain"]


def test_same_version_again_is_told():
    assert "nothing was added" in render_version(make_version(created=False))["text/plain"]


def test_what_is_not_known_is_left_out():
    text = render_version(
        make_version(origin=Origin(), label=None, description=None, tags=(), interpreter=None)
    )["text/plain"]
    for absent in ("label ", "notebook", "git", "host", "None", "tags"):
        assert absent not in text.partition("\n")[2].replace("out  label", "").replace(
            "may be None", ""
        )


def test_huge_signature_is_cut():
    parameters = tuple(Parameter(name=f"p{i}", modality=Modality.TEXT) for i in range(500))
    text = render_version(make_version(signature=Signature(inputs=parameters)))["text/plain"]
    assert "476 more" in text
    assert "p100" not in text


def test_models():
    page = ModelPage(
        items=(make_summary(), make_summary(name="draft", active=None, state="failed")),
        next_cursor="more",
    )
    text = render_models(page)["text/plain"]
    assert re.search(
        r"^model +active +versions +state +runtime +updated +description$", text, re.MULTILINE
    )
    assert re.search(
        r"^digits +@3 +4 +ready +onnx +2031-05-06 07:08 UTC +reads digits$", text, re.MULTILINE
    )
    assert re.search(r"^draft +4 +failed", text, re.MULTILINE)
    assert "--search" in text


def test_no_models_says_how_to_add_one():
    for text in render_models(ModelPage(items=())).values():
        assert "%norman upload PATH" in text


def test_search_without_a_hit_says_what_it_looked_at():
    for text in render_models(FoundModels(items=(), search="z<z" * 100)).values():
        assert "No model's name, description or label contains" in html.unescape(text)
        assert "no models here" not in text
        assert len(text) < 400
    assert "digits" in render_models(FoundModels(items=(make_summary(),), search="d"))["text/html"]


def test_rows_of_a_table_take_one_line_but_for_the_description():
    page = ModelPage(items=(make_summary(description="reads digits from pictures"),))
    cells = re.findall(r'<td style="([^"]*)">(.*?)</td>', render_models(page)["text/html"])
    wrapping = [text for style, text in cells if "white-space:nowrap" not in style]
    assert wrapping == ["reads digits from pictures"]


def test_long_name_is_clipped_on_the_screen_alone():
    name = "x" * 100
    shown = render_models(ModelPage(items=(make_summary(name=name),)))["text/html"]
    assert f">{name}</code>" in shown
    assert f'title="{name}"' in shown
    assert "text-overflow:ellipsis" in shown


def test_failed_states_stand_out():
    models = ModelPage(items=(make_summary(), make_summary(name="draft", state="failed")))
    assert re.findall(r"color:var[^>]*>([^<]*)<", render_models(models)["text/html"]) == ["failed"]
    calls = InvocationPage(
        items=(make_invocation(state="failed", error_code="model_failed"), make_invocation())
    )
    assert re.findall(r"color:var[^>]*>([^<]*)<", render_invocations(calls)["text/html"]) == [
        "failed (model_failed)"
    ]


def test_model_lists_its_versions():
    text = render_model(make_detail(12))["text/plain"]
    assert re.search(r"^digits@12 +ready ", text, re.MULTILINE)
    assert "… and 2 earlier" in text
    assert "ready, active" in render_model(make_detail(1))["text/plain"]


def test_overview_shows_model_and_version():
    shown = ShownModel(model=make_detail(), version=make_version())._repr_mimebundle_()
    assert "digits@2" in shown["text/plain"]
    assert "float32[n,8,?]" in shown["text/plain"]
    assert "float32[n,8,?]" in shown["text/html"]
    alone = ShownModel(model=make_detail(), version=None)._repr_mimebundle_(include=None)
    assert alone == render_model(make_detail())


def test_log_shows_its_end():
    shown = render_log(
        LogText(
            reference="digits@1",
            text="".join(f"line {i}\n" for i in range(10_000)),
            truncated=True,
        )
    )
    assert shown["text/plain"].endswith("line 9999")
    assert shown["text/plain"].startswith("…")
    assert len(shown["text/html"]) < 20_000
    empty = render_log(LogText(reference="digits@1", text="\n", truncated=False))
    assert "digits@1 has written nothing." in empty["text/plain"]


def test_status():
    status = ServerStatus(
        server_id="5e4",
        version="0.1.0",
        protocol=1,
        model_count=1234,
        executor=ExecutorStatus(
            state="ready",
            pid=4711,
            uptime_s=90,
            restarts=1,
            deployments=(
                DeploymentStatus(
                    reference="digits@3",
                    version_id="x",
                    state="ready",
                    pid=4712,
                    calls=10_000,
                    failures=2,
                    memory_bytes=123_000_000,
                ),
                DeploymentStatus(reference="draft@1", version_id="y", state="stopped"),
            ),
        ),
        devices=(
            DeviceStatus(
                name="cpu",
                kind="cpu",
                description="some processor",
                cores=8,
                memory_total_bytes=16_000_000_000,
                memory_used_bytes=4_000_000_000,
            ),
            DeviceStatus(name="cuda:0", kind="gpu"),
        ),
    )
    text = render_status(status)["text/plain"]
    for part in (
        "norman 0.1.0, protocol 1",
        "1,234",
        "ready, process 4711, up 90.0 s, 1 restart",
        "cpu, some processor, 8 cores, 4.0 GB of 16.0 GB used",
        "cuda:0",
    ):
        assert part in text
    assert re.search(r"^digits@3 +ready +4712 +123.0 MB +10,000 +2 +0 +0$", text, re.MULTILINE)
    assert re.search(r"^draft@1 +stopped +0", text, re.MULTILINE)


@pytest.mark.parametrize("relay", [None, RelayStatus(relaying_pid=4720, holding_pid=4711)])
def test_status_says_who_relays_to_whom(relay):
    status = ServerStatus(
        server_id="5e4",
        version="0.1.0",
        protocol=1,
        model_count=0,
        executor=ExecutorStatus(state="ready"),
        relay=relay,
    )
    for text in render_status(status).values():
        assert ("process 4720 relays to 4711" in text) is (relay is not None)


def test_status_of_a_server_without_executor():
    status = ServerStatus(
        server_id="5e4",
        version="0.1.0",
        protocol=1,
        model_count=0,
        executor=ExecutorStatus(state="starting"),
    )
    assert "starting" in render_status(status)["text/plain"]


def make_invocation(**changes) -> InvocationSummary:
    facts = {
        "id": "0f" * 16,
        "reference": "digits@3",
        "version_id": "x",
        "state": "succeeded",
        "caller": Caller(user="ada"),
        "accepted_at": TIME,
        "ended_at": TIME,
        "timings": Timings(total_s=0.0015),
        "input_bytes": 256,
        "output_bytes": 8,
        "error_code": None,
    }
    return InvocationSummary(**{**facts, **changes})


def test_invocations():
    page = InvocationPage(
        items=(
            make_invocation(),
            make_invocation(
                state="failed", error_code="model_failed", timings=None, output_bytes=None
            ),
        ),
        next_cursor="more",
    )
    text = render_invocations(page)["text/plain"]
    assert re.search(r"digits@3 +succeeded +1.5 ms +256 B +8 B +ada", text)
    assert "failed (model_failed)" in text
    assert "There are more." in text
    assert "Nothing was invoked yet." in render_invocations(InvocationPage(items=()))["text/plain"]


@pytest.mark.parametrize(
    "bundle",
    [
        render_version(
            make_version(
                description=HOSTILE,
                label=HOSTILE,
                tags=(HOSTILE,) * 100,
                created_by=HOSTILE,
                created_at=HOSTILE,
                entry=HOSTILE,
                origin=Origin(notebook=HOSTILE, git_remote=HOSTILE, git_commit=HOSTILE),
                signature=Signature(
                    inputs=(
                        Parameter(
                            name=HOSTILE,
                            modality=Modality.TENSOR,
                            dtype=HOSTILE[:50],
                            description=HOSTILE,
                            required=False,
                            default={HOSTILE: [HOSTILE]},
                        ),
                    )
                ),
                manifest=Manifest(
                    files=(FileEntry(path=HOSTILE, digest="0" * 64, size_bytes=1),) * 10_000
                ),
                error=ErrorBody(code="c", message=HOSTILE, details={"traceback": HOSTILE}),
            )
        ),
        render_models(ModelPage(items=(make_summary(description=HOSTILE, tags=(HOSTILE,)),) * 50)),
        render_log(LogText(reference="digits@1", text=HOSTILE * 1000, truncated=True)),
        render_invocations(
            InvocationPage(items=(make_invocation(caller=Caller(user=HOSTILE)),) * 50)
        ),
    ],
    ids=["version", "models", "log", "invocations"],
)
def test_hostile_text_is_harmless_and_small(bundle):
    assert "<script" not in bundle["text/html"]
    assert sum(len(text.encode()) for text in bundle.values()) < 60_000
    for text in bundle.values():
        assert "\x1b" not in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TIME, "2031-05-06 07:08 UTC"),
        ("2031-05-06T07:08:09Z", "2031-05-06 07:08 UTC"),
        ("2031-05-06T07:08:09+02:00", "2031-05-06 07:08+02:00"),
        ("soon", "soon"),
    ],
)
def test_times_are_told_to_the_minute(text, expected):
    assert short_time(text) == expected


def test_no_calls_at_all_and_none_that_were_looked_for_are_told_apart():
    assert "Nothing was invoked yet" in render_invocations(InvocationPage(items=()))["text/plain"]
    found = render_invocations(FoundInvocations(items=()))["text/plain"]
    assert found.startswith("No recorded call is like that")


def test_what_is_declared_of_a_medium_stands_beside_it():
    photo = Parameter(
        name="Photo",
        modality=Modality.IMAGE,
        encoding="png",
        parameter="x",
        layout=Layout(height=224, width=224, resize="cover", mean=(0.5,), std=(0.2,)),
        hidden=True,
        required=False,
        default="cat",
    )
    sound = Parameter(
        name="Sound",
        modality=Modality.AUDIO,
        encoding="wav",
        parameter="<wave>",
        rate_parameter="hertz",
        layout=Layout(axes="CT", low=-1, high=1, sample_rate=16_000, mono=True),
    )
    scores = Parameter(
        name="scores", modality=Modality.TENSOR, labels=("<b>cat</b>", *map(str, range(999)))
    )
    signature = Signature(inputs=(photo, sound), outputs=(scores,))
    bundle = render_version(make_version(signature=signature, runtime="torchscript", trust=None))
    text, html = bundle["text/plain"], bundle["text/html"]
    assert (
        'default "cat" · hidden from forms · to the model x float32[1,3,224,224], RGB, 0 to 1, '
        "resized (cover), normalised"
    ) in text
    assert "to the model <wave> float32[1,?], -1 to 1, 16,000 Hz, rate as hertz" in text
    assert "labels <b>cat</b>, 0, 1, 2, 3, … (1,000)" in text
    assert "image (png)" in text
    assert "<wave>" not in html
    assert "<b>cat" not in html
    assert re.search(r"trust +not needed", text)
