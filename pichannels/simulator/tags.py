"""The tags of a simulated plant: what each is called, measures and how often.

Every unit of the plant has the same tags; `templates` names them in the order
in which they are made, the well-known ones first.
"""

from __future__ import annotations

import uuid
from typing import Final, Literal

import msgspec

from pichannels.simulator.events import DigitalSet, State
from pichannels.simulator.webids import point_web_id, server_web_id

__all__ = ["WELL_KNOWN", "Facts", "Kind", "Server", "Tag", "Template", "templates"]

Kind = Literal["float", "int", "string", "digital", "timestamp"]
Shape = Literal["wave", "counter", "batch", "grade", "state", "instant", "none"]

WELL_KNOWN: Final = (
    "BOILER.TEMP",
    "BOILER.PRESSURE",
    "FEED.FLOW",
    "PUMP1.STATUS",
    "BATCH.ID",
    "PRODUCT.COUNT",
    "LAST.SAMPLE",
)
"""The tags that every unit has first, without the `UNIT<n>.` before them."""

PUMP = DigitalSet.of("PUMP_STATES", "STOPPED", "RUNNING", "TRIPPED")
VALVE = DigitalSet.of("VALVE_STATES", "CLOSED", "OPEN", "TRANSIT")
MODE = DigitalSet.of("MODE_STATES", "MANUAL", "AUTO", "CASCADE")
PHASE = DigitalSet.of(
    "PHASE_STATES", "IDLE", "CHARGE", "HEAT", "REACT", "COOL", "DISCHARGE"
)


class Server(msgspec.Struct, frozen=True):
    """The PI data archive that holds the tags."""

    name: str = "SIMSRV"
    id: uuid.UUID = uuid.UUID("0f3c9a52-6f0d-4f3e-9a41-2a7d5c1b8e60")
    version: str = "3.4.440.477"
    first_point: int = 1
    """The point id of the first tag."""

    @property
    def path(self) -> str:
        return f"\\\\PIServers[{self.name}]"

    def web_id(self, form: str = "Full") -> str:
        """The server's WebID in one of `WEB_ID_TYPES`."""
        return server_web_id(self.id, self.name, form)


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """What the tags of one name have in common over all units.

    `period`, `latency` and `jitter` are seconds: an event at most once in a
    period, stored `latency` (and up to `jitter`) after its timestamp. A negative
    latency makes a future tag.
    """

    name: str
    kind: Kind = "float"
    shape: Shape = "wave"
    units: str = ""
    text: str = ""
    zero: float = 0.0
    span: float = 100.0
    period: float = 60.0
    digits: int = 2
    states: DigitalSet | None = None
    weights: tuple[int, ...] = ()
    point_type: str = "Float32"
    latency: float = 0.0
    jitter: float = 0.0
    resolution: int = 10_000
    compressing: bool = True


class Facts(msgspec.Struct, eq=False):
    """What an administrator can change of a point while the server runs."""

    name: str
    descriptor: str
    units: str
    zero: float
    span: float
    scan: int = 1


class Tag(msgspec.Struct, frozen=True, kw_only=True):
    """One PI point: its identity, attributes and the parameters of its signal.

    `made` is the name that it was made with; its changes are kept under it.
    `period`, `latency` and `jitter` are ticks of 100 ns.
    """

    index: int
    made: str
    facts: Facts
    server: Server
    template: Template
    key: int
    period: int
    latency: int
    jitter: int
    waves: tuple[float, float, float, float]

    @property
    def name(self) -> str:
        return self.facts.name

    @property
    def path(self) -> str:
        return f"\\\\{self.server.name}\\{self.name}"

    @property
    def source(self) -> Tag:
        """The tag that holds the values: this one."""
        return self

    def link(self, base: str, form: str = "Full") -> str:
        """Where the point is described."""
        return f"{base}/points/{self.web_id_as(form)}"

    @property
    def point_id(self) -> int:
        return self.index + self.server.first_point

    @property
    def web_id(self) -> str:
        """The full WebID."""
        return self.web_id_as("Full")

    def web_id_as(self, form: str) -> str:
        """The WebID in one of `WEB_ID_TYPES`."""
        return point_web_id(self.server.id, self.point_id, self.path, form)

    @property
    def kind(self) -> Kind:
        return self.template.kind

    @property
    def units(self) -> str:
        return self.facts.units

    @property
    def descriptor(self) -> str:
        return self.facts.descriptor

    @property
    def future(self) -> bool:
        """Whether its events lie ahead of the present (a forecast)."""
        return self.latency < 0

    @property
    def step(self) -> bool:
        """Whether the value holds until the next event."""
        return self.kind != "float"

    @property
    def states(self) -> tuple[State, ...]:
        """The states of a digital tag, in order of their numbers."""
        return self.template.states.states if self.template.states else ()

    @property
    def excdev(self) -> float:
        """Exception deviation in engineering units."""
        return self.template.span * 0.001

    @property
    def compdev(self) -> float:
        """Compression deviation in engineering units."""
        return self.template.span * 0.004

    @property
    def compressing(self) -> bool:
        return self.template.compressing


def _analog(
    name: str, units: str, text: str, zero: float, span: float, period: float
) -> Template:
    return Template(
        name=name, units=units, text=text, zero=zero, span=span, period=period
    )


def _digital(
    name: str, text: str, states: DigitalSet, period: float, *weights: int
) -> Template:
    return Template(
        name=name,
        kind="digital",
        shape="state",
        text=text,
        states=states,
        weights=weights,
        point_type="Digital",
        period=period,
        zero=0.0,
        span=float(len(states.states) - 1),
        resolution=10_000_000,
    )


def _known() -> list[Template]:
    return [
        Template(
            name="BOILER.TEMP", units="°C", text="Boiler outlet temperature",
            zero=20.0, span=180.0, period=1.0, resolution=1,
        ),
        _analog("BOILER.PRESSURE", "bar", "Boiler drum pressure", 0.0, 16.0, 1.0),
        _analog("FEED.FLOW", "m3/h", "Feed flow", 0.0, 250.0, 1.0),
        _digital("PUMP1.STATUS", "Pump 1 status", PUMP, 180.0, 2, 12, 1),
        Template(
            name="BATCH.ID", kind="string", shape="batch", text="Running batch",
            point_type="String", period=3600.0, resolution=10_000_000,
        ),
        Template(
            name="PRODUCT.COUNT", kind="int", shape="counter", units="pcs",
            text="Pieces produced", point_type="Int32", period=10.0, span=1e6,
        ),
        Template(
            name="LAST.SAMPLE", kind="timestamp", shape="instant",
            text="Time of the last laboratory sample", point_type="Timestamp",
            period=1800.0,
        ),
    ]  # fmt: skip


def _odd() -> list[Template]:
    """Those that are hard on a reader: late, ahead, disordered, empty."""
    return [
        Template(
            name="LAB.VISCOSITY", units="mPa.s", text="Viscosity from the laboratory",
            zero=50.0, span=400.0, period=3600.0, latency=7200.0,
        ),
        Template(
            name="FEED.FORECAST", units="m3/h", text="Forecast of the feed flow",
            span=250.0, period=900.0, latency=-21600.0,
        ),
        Template(
            name="REMOTE.FLOW", units="m3/h", text="Flow by radio, out of order",
            span=80.0, period=5.0, jitter=30.0, compressing=False,
        ),
        Template(
            name="SPARE.AI1", shape="none", units="mA", text="Spare input", zero=4.0,
            span=16.0, period=3600.0,
        ),
        Template(
            name="PRODUCT.GRADE", kind="string", shape="grade", text="Product grade",
            point_type="String", period=7200.0, resolution=10_000_000,
        ),
        _digital("BATCH.PHASE", "Phase of the batch", PHASE, 600.0, 1, 1, 2, 4, 2, 1),
        Template(
            name="ENERGY.TOTAL", kind="int", shape="counter", units="kWh",
            text="Energy used", point_type="Int64", period=60.0, span=1e8,
        ),
    ]  # fmt: skip


def _pump(n: int) -> list[Template]:
    status = _digital(f"PUMP{n}.STATUS", f"Pump {n} status", PUMP, 240.0, 2, 12, 1)
    return [
        *([status] if n > 1 else []),
        _analog(f"PUMP{n}.CURRENT", "A", f"Pump {n} motor current", 0.0, 60.0, 10.0),
        _analog(f"PUMP{n}.SPEED", "rpm", f"Pump {n} speed", 0.0, 3000.0, 30.0),
        _analog(f"PUMP{n}.VIBRATION", "mm/s", f"Pump {n} vibration", 0.0, 12.0, 60.0),
        Template(
            name=f"PUMP{n}.HOURS", kind="int", shape="counter", units="h",
            text=f"Pump {n} running hours", point_type="Int32", period=3600.0,
            span=1e5,
        ),
    ]  # fmt: skip


def _valve(n: int) -> list[Template]:
    return [
        _analog(f"VALVE{n}.POSITION", "%", f"Valve {n} position", 0.0, 100.0, 30.0),
        _digital(f"VALVE{n}.STATE", f"Valve {n} state", VALVE, 900.0, 6, 8, 1),
    ]


def _tank(n: int) -> list[Template]:
    return [
        _analog(f"TANK{n}.LEVEL", "%", f"Tank {n} level", 0.0, 100.0, 60.0),
        _analog(f"TANK{n}.TEMP", "°C", f"Tank {n} temperature", 0.0, 120.0, 300.0),
    ]


def templates() -> list[Template]:
    """The tags of one unit, fifty of them, the well-known first."""
    return [
        *_known(),
        *_odd(),
        *(t for n in (1, 2, 3, 4) for t in _pump(n)),
        *(t for n in (1, 2, 3) for t in _valve(n)),
        *(t for n in (1, 2) for t in _tank(n)),
        _analog("BOILER.LEVEL", "%", "Boiler drum level", 0.0, 100.0, 5.0),
        _analog("BOILER.O2", "%", "Oxygen in the flue gas", 0.0, 21.0, 15.0),
        _digital("CONTROLLER.MODE", "Controller mode", MODE, 7200.0, 1, 8, 3),
        _analog("FEED.TEMP", "°C", "Feed temperature", 0.0, 90.0, 30.0),
        _analog("POWER", "kW", "Electrical power", 0.0, 750.0, 5.0),
        _analog("AMBIENT.TEMP", "°C", "Outdoor temperature", -20.0, 60.0, 600.0),
        _analog("STACK.NOX", "mg/m3", "Nitrogen oxides", 0.0, 400.0, 60.0),
    ]
