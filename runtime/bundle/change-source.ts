import { type FSWatcher, watch as watchDirectory } from "node:fs";
import { dirname } from "node:path";
import { type BuildContext, context } from "esbuild";

/** An editor writes a file in more than one step; so long after the last notice the file is taken as written. */
const SETTLE_MS = 8;

export interface ChangeSourceOptions {
  /** Directories whose new and deleted files matter now. */
  readonly dirs: () => readonly string[];
  /** The files that matter now, absolute. */
  readonly files: () => readonly string[];
  /** Called when something may have changed; never twice at once. What has changed is for it to find out. */
  readonly changed: () => Promise<void>;
  readonly failed: (thrown: unknown) => void;
}

/**
 * Notices of change from two sides: the operating system's, which come at once but not from every file system, and
 * esbuild's watcher, which looks for itself every now and then (a virtual entry, whose plugin names the files and the directory).
 */
export class ChangeSource {
  readonly #options: ChangeSourceOptions;
  readonly #watchers = new Map<string, FSWatcher>();
  #poller: BuildContext | undefined;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #again = false;
  #closed = false;

  static async open(options: ChangeSourceOptions): Promise<ChangeSource> {
    const source = new ChangeSource(options);
    source.#watchDirectories();
    await source.#poll();
    return source;
  }

  private constructor(options: ChangeSourceOptions) {
    this.#options = options;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
    await this.#poller?.dispose();
    await this.#running;
  }

  /** Looks again after a time, if nothing makes it look before. */
  lookAfter(ms: number): void {
    if (!this.#closed && this.#timer === undefined && ms < Number.POSITIVE_INFINITY) this.#runAfter(ms);
  }

  #notice(): void {
    if (this.#closed) return;
    clearTimeout(this.#timer);
    this.#runAfter(SETTLE_MS);
  }

  #runAfter(ms: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#run();
    }, ms);
  }

  #run(): void {
    if (this.#running !== undefined) {
      this.#again = true;
      return;
    }
    this.#running = this.#options
      .changed()
      .catch(this.#options.failed)
      .then(() => {
        this.#running = undefined;
        if (this.#closed) return;
        this.#watchDirectories();
        if (this.#again) {
          this.#again = false;
          this.#run();
        }
      });
  }

  /** Directories rather than files: editors replace files, and a notice on the old one would be the last. */
  #watchDirectories(): void {
    const own = this.#options.files().filter((file) => !file.includes("/node_modules/"));
    const wanted = new Set([...this.#options.dirs(), ...own.map((file) => dirname(file))]);
    for (const [dir, watcher] of this.#watchers) {
      if (wanted.has(dir)) continue;
      watcher.close();
      this.#watchers.delete(dir);
    }
    for (const dir of wanted) {
      if (this.#watchers.has(dir)) continue;
      try {
        const watcher = watchDirectory(dir, { persistent: true }, () => this.#notice());
        // The directory was deleted, or the system gives no more watches: the poller remains.
        watcher.on("error", () => {
          watcher.close();
          this.#watchers.delete(dir);
        });
        this.#watchers.set(dir, watcher);
      } catch {
        // As above.
      }
    }
  }

  async #poll(): Promise<void> {
    let first = true;
    this.#poller = await context({
      entryPoints: ["keyfold:watch"],
      write: false,
      logLevel: "silent",
      plugins: [
        {
          name: "watch",
          setup: (build) => {
            build.onResolve({ filter: /^keyfold:watch$/ }, ({ path }) => ({ path, namespace: "watch" }));
            build.onLoad({ filter: /.*/, namespace: "watch" }, () => {
              if (!first) this.#notice();
              first = false;
              return { contents: "", watchFiles: [...this.#options.files()], watchDirs: [...this.#options.dirs()] };
            });
          },
        },
      ],
    });
    await this.#poller.watch();
  }
}
