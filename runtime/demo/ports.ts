import { createServer } from "node:net";
import { KeyfoldError } from "../errors.ts";

/** The port if it is free, else 0: any. Something may still take it before the host does; then starting fails, and says so. */
export async function freeOr0(port: number, host: string): Promise<number> {
  return (await isFree(port, host)) ? port : 0;
}

export async function mustBeFree(port: number, host: string, flag: string): Promise<number> {
  if (await isFree(port, host)) return port;
  throw new KeyfoldError("port-in-use", `port ${port} of ${host} is taken; give another with ${flag}, or 0 for any`, { details: { port, host } });
}

function isFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => (error.code === "EADDRINUSE" || error.code === "EACCES" ? resolve(false) : reject(error)));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
