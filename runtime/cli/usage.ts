import { KeyfoldError } from "../errors.ts";
import { type OptionValues, textOption } from "./command.ts";

export function usageError(message: string): KeyfoldError {
  return new KeyfoldError("bad-request", message);
}

/** An option that is a whole number. */
export function wholeOption(options: OptionValues, name: string, min = 0): number | undefined {
  const text = textOption(options, name);
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text.trim() === "" || !Number.isSafeInteger(value) || value < min)
    throw usageError(`--${dashed(name)} must be a whole number from ${min}, not ${JSON.stringify(text)}`);
  return value;
}

export function dashed(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
