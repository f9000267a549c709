import type { Actual, Comparison, Scenario } from "./scenario.ts";

export function canonical(value: unknown): string;
export function compare(scenario: Scenario, actual: Actual): Comparison;
