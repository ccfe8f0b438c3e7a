"""Texts for tests: small, different from each other, about recognisable things."""

from __future__ import annotations

TOPICS = {
    "anchors": "An anchor holds a ship by its flukes. The chain's weight keeps the pull level. A bower anchor hangs at the bow.",
    "bread": "Bread rises because yeast makes gas in the dough. Rye dough is sour. A crust forms when steam leaves the oven.",
    "bees": "A hive of bees keeps honey for the winter. The queen lays eggs in cells of wax. Foragers dance to show flowers.",
    "glaciers": "A glacier flows under its own weight. Crevasses open where the ice bends. Moraines mark where the ice once ended.",
    "clocks": "A pendulum clock counts equal swings. The escapement gives one tooth a tick. A chronometer keeps time at sea.",
    "paper": "Paper is made of fibres that settle on a screen. Rag paper lasts for centuries. Sizing keeps ink from spreading.",
    "maps": "A map projects the round earth onto a flat sheet. Contours join places of equal height. A legend explains signs.",
    "salt": "Salt is won from the sea by the sun. Brine is boiled in pans. Rock salt is cut in mines deep below the hills.",
}


def page(topic: str, paragraphs: int = 4) -> str:
    """A Markdown page about one topic, each paragraph different."""
    lines = [f"# About {topic}", ""]
    for number in range(1, paragraphs + 1):
        lines += [
            f"## {topic.capitalize()}, part {number}",
            "",
            f"{TOPICS[topic]} Part {number} of {topic} says so.",
            "",
        ]
    return "\n".join(lines)


def handbook(paragraphs: int = 4) -> str:
    """One long document about everything."""
    return "\n".join(page(topic, paragraphs) for topic in TOPICS)
