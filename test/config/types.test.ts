import { test } from "node:test";
import { expectTypeOf } from "expect-type";
import type { z } from "zod";
import { defineConfig } from "../../runtime/config/index.ts";
import type { functionDefaultsSchema, functionSchema, layerSchema, limitsSchema } from "../../runtime/config/schema.ts";
import type { topicSettings } from "../../runtime/config/topic-settings.ts";
import type { ConfigLayer, FunctionConfig, FunctionDefaultsConfig, LimitsConfig, TopicSettings } from "../../runtime/config/types.ts";

test("what an author may write is what the schema knows", () => {
  expectTypeOf<keyof ConfigLayer>().toEqualTypeOf<keyof z.output<typeof layerSchema>>();
  expectTypeOf<keyof FunctionConfig>().toEqualTypeOf<keyof z.output<typeof functionSchema>>();
  expectTypeOf<keyof FunctionDefaultsConfig>().toEqualTypeOf<keyof z.output<typeof functionDefaultsSchema>>();
  expectTypeOf<keyof LimitsConfig>().toEqualTypeOf<keyof z.output<typeof limitsSchema>>();
  expectTypeOf<keyof TopicSettings>().toEqualTypeOf<keyof z.output<typeof topicSettings>>();
});

test("times and sizes may be text; a wrong key or value does not compile", () => {
  defineConfig({ "commit.interval.ms": "5 seconds", "cache.max.bytes.buffering": "10 MiB", limits: { "reducer.timeout.ms": 100 } });
  // @ts-expect-error unknown key
  defineConfig({ "commit.intervall.ms": 5 });
  // @ts-expect-error not one of the choices
  defineConfig({ "processing.guarantee": "twice" });
});
