"""Maps over time: change, series, alerts, and areas with error bars."""
