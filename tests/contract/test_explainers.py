"""What every registered explainer keeps, whatever it computes."""

import random
import threading
from contextlib import suppress
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from core.errors import BadParameter, Cancelled, UnknownName
from core.explain import EXPLAINERS, explain
from core.models.model import content_sha
from core.network.hooks import capture
from core.progress import Counted
from tests import nets

NAMES = list(EXPLAINERS)
HOMES = ("gap", "residual", "linear", "vit")  # networks to live on, the first that a method can work with


@cache
def home(name):
    """The first tiny network that the method can explain."""
    return next(m for m in map(shared, HOMES) if not EXPLAINERS[name].unmet(m))


@cache
def shared(net):
    return nets.model(net)


def request(name, count=2, model=None, **rest):
    model = model or home(name)
    targets = torch.arange(count) % nets.CLASSES
    return replace(nets.query(model, count=count, **rest), targets=targets)


def answer(name, query):
    return explain(name, query, nets.quick(EXPLAINERS[name]))


def close(one, other):
    scale = max(float(other.abs().max()), 1e-6)
    return float((one - other).abs().max()) <= 1e-4 * scale


def facts(model):
    """Everything of a shared model and of this process that an explanation may not change."""
    modules = list(model.net.modules())
    return {
        "hooks": sum(len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in modules),
        "training": [m.training for m in modules],
        "gradients": [(p.requires_grad, p.grad) for p in model.net.parameters()],
        "weights": content_sha(model.net.state_dict()),
        "modules": [id(m) for m in modules],
        "torch": bytes(torch.get_rng_state().numpy()),
        "cuda": [bytes(state.numpy()) for state in torch.cuda.get_rng_state_all()] if torch.cuda.is_available() else [],
        "numpy": [str(part) if isinstance(part, str) else np.asarray(part).tobytes() for part in np.random.get_state()],
        "python": random.getstate(),
        "grad mode": torch.is_grad_enabled(),
        "modes": len(torch.overrides._get_current_function_mode_stack()),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }


@pytest.mark.parametrize("name", NAMES)
def test_one_finite_map_per_image(name):
    query = request(name, 3)
    before = query.images.clone()
    found = answer(name, query)
    assert found.maps.shape == (3, nets.SIDE, nets.SIDE)
    assert found.maps.dtype == torch.float32
    assert torch.isfinite(found.maps).all()
    assert EXPLAINERS[name].signed or float(found.maps.min()) >= 0
    assert torch.equal(query.images, before)
    assert torch.allclose(
        found.scores, query.net(query.images).gather(1, query.targets.indices[:, None])[:, 0], atol=1e-5
    )
    assert (found.forwards, found.backwards) == (query.log.forwards, query.log.backwards)
    assert not found.maps.requires_grad


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_bytes(name):
    one, again = (answer(name, request(name, seed=7)).maps for _ in range(2))
    assert torch.equal(one, again)


@pytest.mark.parametrize("name", NAMES)
def test_batch_size_and_company_do_not_matter(name):
    together = answer(name, request(name, 3, batch=32)).maps
    assert close(answer(name, request(name, 3, batch=2)).maps, together)
    whole = request(name, 3, batch=5)
    alone = replace(whole, images=whole.images[1:2], targets=whole.targets[1:2])
    assert close(answer(name, alone).maps, together[1:2])


@pytest.fixture
def threads():
    """A function that sets the number of torch's threads; afterwards it is as before."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", NAMES)
def test_the_number_of_threads_does_not_matter(name, threads):
    """Sums are rounded in another order, and no method may amplify that."""
    maps = []
    for count in (1, 2):
        threads(count)
        maps.append(answer(name, request(name, 1, nets.model("gap", side=64), side=64)).maps[0])
    one, two = maps
    constant = float(one.max()) == float(one.min())
    assert torch.equal(one, two) if constant else spearmanr(one.flatten(), two.flatten()).statistic >= 0.9999


@pytest.mark.parametrize("name", NAMES)
def test_settings_outside_their_range_are_refused(name):
    with pytest.raises(UnknownName):
        explain(name, request(name), {"no_such_setting": 1})
    for param in EXPLAINERS[name].params:
        wrong = []
        if param.kind in ("int", "float"):
            assert None not in (param.knob.low, param.knob.high), f"{param.name} needs a range"
            assert param.knob.low <= param.default <= param.knob.high
            wrong = [param.knob.low - 1, param.knob.high + 1, "many", float("nan")]
        elif param.kind == "choice":
            assert param.default in param.choices
            wrong = ["no such choice"]
        elif param.kind == "numbers":
            wrong = ["", "many", [param.knob.low - 1], [param.knob.high + 1]]
        for value in wrong:
            with pytest.raises(BadParameter):
                explain(name, request(name), {param.name: value})


@pytest.mark.parametrize("name", NAMES)
def test_reports_rise_to_one(name):
    heard = []
    answer(name, request(name, report=lambda fraction, note: heard.append(fraction)))
    assert heard[-1] == 1.0
    assert heard == sorted(heard)
    assert heard[0] >= 0


@pytest.mark.parametrize("name", NAMES)
def test_a_method_of_many_passes_counts_what_it_does(name):
    """In one unit, from zero to the total, in its own words; one that needs a single pass counts nothing."""
    heard, method = [], EXPLAINERS[name]
    answer(name, request(name, 1, batch=8, report=lambda fraction, note: heard.append((fraction, note))))
    counts = [note for _, note in heard if isinstance(note, Counted)]
    assert bool(counts) == (method.passes(method.defaults, 224).forward > 2)
    for count in counts:
        assert count == f"{count.unit} {count.done:,} of {count.total:,}"
        assert (count.unit, count.total) == (counts[0].unit, counts[0].total)
        assert any(word.endswith("s") for word in count.unit.split()), "a plural"
    done = [count.done for count in counts]
    assert done == sorted(done)
    assert not counts or (done[0], done[-1]) == (0, counts[0].total)
    assert heard[-1] == (1.0, "")


UNITS = {
    "occlusion": "windows occluded",
    "feature_ablation": "segments masked",
    "rise": "masks evaluated",
    "score_cam": "filters evaluated",
    "smoothgrad": "noisy samples",
    "integrated_gradients": "steps",
    "gradient_shap": "samples",
    "lime_image": "perturbed samples",
    "kernel_shap": "coalitions evaluated",
    "meaningful_perturbation": "steps",
    "extremal_perturbation": "steps",
}


@pytest.mark.parametrize("name", UNITS)
def test_it_counts_in_the_words_of_its_field(name):
    heard = []
    answer(name, request(name, 1, report=lambda fraction, note: heard.append(note)))
    assert {note.unit for note in heard if isinstance(note, Counted)} == {UNITS[name]}


def test_images_are_named_where_a_method_works_on_one_after_the_other():
    heard = []
    query = request("occlusion", 2, batch=4, report=lambda fraction, note: heard.append((fraction, note)))
    explain("occlusion", query, {"window": 112, "stride": 112})
    fractions = [fraction for fraction, _ in heard]
    assert fractions == sorted(fractions)
    assert (0.5, "windows occluded 4 of 4 (image 1 of 2)") in heard
    assert (0.5, "windows occluded 0 of 4 (image 2 of 2)") in heard


def test_a_method_that_converged_says_so():
    heard = []
    query = request("rise", 1, batch=64, report=lambda fraction, note: heard.append((fraction, note)))
    found = explain("rise", query, {"masks": 8000, "score": "logit", "centred": True}, settle=True)
    assert found.finished
    assert found.forwards < 8000
    assert (1.0, "converged early") in heard


@pytest.mark.parametrize("name", NAMES)
def test_nothing_stays_behind(name):
    """After success, after cancelling at the first, second, middle and last report, and after a network that fails.

    A cancelled method ends there: with nothing before its first running map, later perhaps with its map so far.
    """
    model = home(name)
    before = facts(model)
    count = 0

    def counting(fraction, note):
        nonlocal count
        count += 1

    answer(name, request(name, report=counting, batch=4))
    assert facts(model) == before

    for moment in sorted({0, min(1, count - 1), count // 2, count - 1}):
        stopped = Cancelling(moment)
        try:
            found = answer(name, request(name, report=stopped, batch=4))
        except Cancelled:
            found = None
        assert stopped.raised
        if found is not None:
            assert moment, "nothing can have been found before the first report"
            assert not found.finished
            assert found.maps.shape == (2, nets.SIDE, nets.SIDE)
        assert facts(model) == before

    class Broken(RuntimeError):
        pass

    def broken(output):
        raise Broken

    last = [n for n, _ in model.net.named_modules()][-1]
    with capture(model.net, last, edit={last: broken}), suppress(Broken):
        answer(name, request(name))
    assert facts(model) == before


class Cancelling:
    """A report that raises at its call number `moment` and at every later one, as a stopped job does."""

    def __init__(self, moment):
        self.moment, self.calls, self.raised = moment, 0, False

    def __call__(self, fraction, note):
        self.calls += 1
        if self.calls > self.moment:
            self.raised = True
            raise Cancelled


@pytest.mark.parametrize("name", NAMES)
def test_a_network_that_cannot_be_explained_so_gets_a_sentence(name):
    for net in nets.NETS:
        reason = EXPLAINERS[name].unmet(shared(net))
        assert not reason or (reason.endswith(".") and shared(net).name in reason)


def test_eight_threads_on_one_model_equal_serial_work():
    """Different images and different methods at once: bit for bit what they are one after the other."""
    model = shared("gap")
    names = [name for name in NAMES if not EXPLAINERS[name].unmet(model)]
    requests = [(name, index) for index in range(2) for name in names]

    def run(name, index):
        query = nets.query(model, count=1, target=index)
        query.images.copy_(nets.images(1, seed=index + 1))
        return answer(name, query.fresh()).maps

    threads_before = torch.get_num_threads()
    serial = [run(*one) for one in requests]
    found = [None] * len(requests)

    def work(start):
        for index in range(start, len(requests), 8):
            found[index] = run(*requests[index])

    threads = [threading.Thread(target=work, args=(start,)) for start in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torch.get_num_threads() == threads_before
    differing = [
        name for (name, _), one, other in zip(requests, serial, found, strict=True) if not torch.equal(one, other)
    ]
    assert not differing
