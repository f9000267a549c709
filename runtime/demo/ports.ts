import { createServer } from "node:net";

/** The port if it is free, else 0: any. Something may still take it before the host does; then starting fails, and says so. */
export function freeOr0(port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) =>
      error.code === "EADDRINUSE" || error.code === "EACCES" ? resolve(0) : reject(error),
    );
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(port)));
  });
}
