import { checkLayer } from "../config/check.ts";
import type { FunctionSettings } from "../config/resolved.ts";
import { functionSchema, isTopicName } from "../config/schema.ts";
import { KeyfoldError } from "../errors.ts";
import type { Description } from "./describe.ts";

/**
 * Holds what a function's file says to the rules of the config: its settings, and the names of its topics. Returns it with durations in ms.
 * @throws KeyfoldError `function-invalid` or `topology-invalid`, listing every problem.
 */
export function checkedDescription(name: string, description: Description): Description {
  const { layer, problems } = checkLayer(functionSchema, description.settings);
  const { subtopologies } = description.topology;
  const topics = new Set(subtopologies.flatMap(({ sources, sinks }) => [...sources, ...sinks].map(({ topic }) => topic)));
  const said = [
    ...problems.map(({ key, message }) => `${key}: ${message}`),
    ...[...topics]
      .filter((topic) => !isTopicName(topic))
      .map((topic) => `${JSON.stringify(topic)} is not a topic name: use 1 to 249 of A-Z a-z 0-9 . _ -`),
  ];
  if (said.length > 0) throw new KeyfoldError("function-invalid", `function "${name}": ${said.join("\n  ")}`);
  const settings = layer as FunctionSettings;
  if (description.invoke !== undefined && settings.sink !== undefined && [settings.source].flat().includes(settings.sink)) {
    throw new KeyfoldError(
      "topology-invalid",
      `function "${name}" reads the topic ${settings.sink}, and its sink is the same: each new state would come back as an event, without end. Give the sink another topic; with ctx.emit a reducer sends to its own source when it means to.`,
    );
  }
  return { ...description, settings };
}
