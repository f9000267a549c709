import { defineConfig } from "keyfold/config";

/** The config of the example functions in `functions/`, which `npm start` runs. Every key is in docs/config.md. */
export default defineConfig({
  name: "flights",
  // Outputs, offsets and state become visible together: a flight counts once, whatever is killed and when.
  "processing.guarantee": "exactly_once_v2",
  topics: {
    // The flights are of 2001, and a topic that deletes by age goes by event time: these are to be kept.
    flights: { partitions: 4, "retention.ms": -1 },
    "long-delays": { partitions: 4, "retention.ms": -1 },
    // One current record for each key is all that matters here. As many partitions as flights, which are joined with airports.
    airports: { partitions: 4, "cleanup.policy": "compact" },
    "airport-stats": { partitions: 4, "cleanup.policy": "compact" },
    "delay-watch": { partitions: 4, "cleanup.policy": "compact" },
    "state-delays": { partitions: 4, "cleanup.policy": "compact" },
    // Each window comes once, under a key of its own.
    "daily-flights": { partitions: 4, "retention.ms": -1 },
    "airport-bursts": { partitions: 4, "retention.ms": -1 },
  },
  functions: {
    // A bare reducer does not say what it reads.
    "late-arrivals": { source: "long-delays" },
  },
});
