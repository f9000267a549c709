import { MemoryEngine } from "../../runtime/state/engines/memory.ts";
import { RocksEngine } from "../../runtime/state/engines/rocksdb.ts";
import { engineContract } from "./engine-contract.ts";
import { MapEngine } from "./map-engine.ts";

engineContract("rocksdb", () => new RocksEngine());
engineContract("memory (also under lru)", () => new MemoryEngine());
engineContract("a user's own", () => new MapEngine());
