"""The overview: the whole node on one page, its panels placed by the size of the terminal."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Container, Vertical

from qudag_tui.model.state import UiState
from qudag_tui.tui.widgets.panel import EventPanel, LatencyPanel, Panel
from qudag_tui.views.connections import connections
from qudag_tui.views.messages import messages
from qudag_tui.views.throughput import throughput

__all__ = ["OverviewScreen"]


class OverviewScreen(Vertical):
    """Five panels. The classes of the breakpoints decide which share a line and how tall they are."""

    # The breakpoints set their classes on the screen, above this widget.
    SCOPED_CSS = False
    DEFAULT_CSS = """
    OverviewScreen { padding: 0 1; }
    OverviewScreen Container { height: 1fr; }

    /* Narrow: one under the other. At 80x24 every panel has its few lines. */
    #throughput { height: 5; }
    #middle, #bottom { layout: vertical; }
    #middle { height: 8; }
    #connections { height: 2; }
    #messages { height: 5; }
    #events { height: 1fr; }
    .-medium #throughput { height: 7; margin-bottom: 1; }
    .-medium #middle { height: 14; }
    .-medium #connections { height: 4; margin-bottom: 1; }
    .-medium #latency { margin-bottom: 1; }
    .-medium #messages { height: 8; margin-bottom: 1; }
    .-tall #throughput { height: 9; margin-bottom: 1; }
    .-tall #middle { height: 1fr; }
    .-tall #connections { height: 9; margin-bottom: 1; }
    .-tall #latency { margin-bottom: 1; }
    .-tall #bottom { height: 1fr; }
    .-tall #messages { height: 13; margin-bottom: 1; }

    /* Wide: two beside each other. */
    .-wide #middle, .-wide #bottom { layout: horizontal; }
    .-wide #connections, .-wide #latency, .-wide #messages, .-wide #events { height: 1fr; margin-bottom: 0; }
    .-wide #connections { width: 52; margin-right: 3; }
    .-wide #messages { width: 1fr; margin-right: 3; }
    .-wide #events { width: 1fr; }
    .-wide #throughput { height: 6; }
    .-wide #middle { height: 6; }
    .-wide.-medium #throughput { height: 9; margin-bottom: 1; }
    .-wide.-medium #middle { height: 11; margin-bottom: 1; }
    .-wide.-tall #throughput { height: 16; margin-bottom: 1; }
    .-wide.-tall #middle { height: 16; margin-bottom: 1; }

    /* Lower than 80x24: what is now, without the log. */
    .-flat #bottom, .-low #events { display: none; }
    .-low #connections { display: none; }
    .-low #throughput { height: 3; }
    .-low #middle { height: 1fr; }
    .-low #bottom { height: 5; }
    """

    def __init__(self) -> None:
        super().__init__(id="overview")

    def compose(self) -> ComposeResult:
        """The panels, from what is now to what has happened."""
        yield Panel(throughput, id="throughput")
        with Container(id="middle"):
            yield Panel(connections, id="connections")
            yield LatencyPanel(id="latency")
        with Container(id="bottom"):
            yield Panel(messages, id="messages")
            yield EventPanel(id="events")

    def draw(self, state: UiState) -> None:
        """Draw this state in every panel that is shown."""
        for panel in self.query(Panel):
            if panel.display:
                panel.draw(state)
