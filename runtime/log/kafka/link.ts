import KafkaConnection, { type ConnectionLogger } from "kafkajs/src/network/connection.js";
import createSocketFactory from "kafkajs/src/network/socketFactory.js";
import { KeyfoldError } from "../../errors.ts";
import type { Api } from "./api/api.ts";
import { LinkError } from "./protocol-errors.ts";
import { Reader, Writer } from "./wire.ts";

export interface LinkOptions {
  readonly clientId: string;
  /** TLS: true, or options of `tls.connect` (`ca`, `cert`, `key`, …). */
  readonly ssl?: boolean | Readonly<Record<string, unknown>>;
  readonly sasl?: { readonly mechanism: "plain" | "scram-sha-256" | "scram-sha-512"; readonly username: string; readonly password: string };
  /** Longest wait for a connection, ms. */
  readonly connectTimeoutMs: number;
  /** Longest wait for an answer, beyond what the request itself asks the broker to wait, ms. */
  readonly requestTimeoutMs: number;
}

/** SaslHandshake and SaslAuthenticate in versions that kafkajs and every broker since 1.0 know. */
const SASL_VERSIONS = { 17: { minVersion: 0, maxVersion: 1 }, 36: { minVersion: 0, maxVersion: 1 } };

/** Certificates that are not accepted, and a port that does not speak TLS: trying again changes nothing. */
const TLS_CODES = /CERT|UNABLE_TO_|^EPROTO$|^ERR_SSL_/;

/**
 * One connection to one broker: kafkajs does socket, TLS, SASL, framing and matching of answers; requests and answers are ours.
 * It connects when first used, and again after it broke. A broker answers the requests of one connection one after another, so
 * whoever waits long (a fetch, a join) needs a link of its own.
 */
export class Link {
  readonly #options: LinkOptions;
  readonly #host: string;
  readonly #port: number;
  #open: Promise<KafkaConnection> | undefined;
  #connection: KafkaConnection | undefined;
  #closed = false;

  constructor(host: string, port: number, options: LinkOptions) {
    this.#host = host;
    this.#port = port;
    this.#options = options;
  }

  get connected(): boolean {
    return this.#connection?.isConnected() === true;
  }

  /** Sends a request. Throws LinkError when there is no telling whether it arrived. `waitMs`: what the broker may take by intent. */
  async call<Q, A>(api: Api<Q, A>, request: Q, waitMs = 0): Promise<A> {
    const connection = await this.#connect();
    let timer: NodeJS.Timeout | undefined;
    const limit = this.#options.requestTimeoutMs + waitMs;
    try {
      return await new Promise<A>((resolve, reject) => {
        timer = setTimeout(() => {
          reject(new LinkError(`${api.name}: no answer from ${this.#host}:${this.#port} within ${limit} ms`));
          drop(connection);
        }, limit);
        connection
          .send({
            logResponseError: false,
            request: { apiKey: api.key, apiVersion: api.version, apiName: api.name, encode: async () => encode(api, request) },
            response: {
              decode: async (payload) => ({ clientSideThrottleTime: 0, answer: decode(api, payload) }),
              parse: async ({ answer }) => answer,
            },
          })
          .then(resolve, reject);
      });
    } catch (thrown) {
      if (thrown instanceof RangeError) drop(connection);
      throw this.#explain(api.name, thrown);
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    this.#closed = true;
    if (this.#connection !== undefined) drop(this.#connection);
    this.#connection = undefined;
  }

  async #connect(): Promise<KafkaConnection> {
    if (this.#closed) throw new LinkError(`The connection to ${this.#host}:${this.#port} is closed.`);
    if (this.#connection?.isConnected() === true) return this.#connection;
    this.#connection = undefined;
    this.#open ??= this.#reconnect().finally(() => {
      this.#open = undefined;
    });
    return this.#open;
  }

  async #reconnect(): Promise<KafkaConnection> {
    const { clientId, ssl, sasl, connectTimeoutMs, requestTimeoutMs } = this.#options;
    const connection = new KafkaConnection({
      host: this.#host,
      port: this.#port,
      clientId,
      ssl: ssl === true ? {} : ssl === false || ssl === undefined ? null : ssl,
      sasl: sasl === undefined ? null : { ...sasl },
      connectionTimeout: connectTimeoutMs,
      requestTimeout: requestTimeoutMs,
      enforceRequestTimeout: false,
      logger: silent,
      socketFactory,
    });
    // Without a limit of requests in flight nothing ever waits in this queue, and its check would cost a timer an answer.
    connection.requestQueue.scheduleCheckPendingRequests = () => {};
    let timer: NodeJS.Timeout | undefined;
    try {
      connection.setVersions(SASL_VERSIONS);
      connection.setSupportAuthenticationProtocol(true);
      await connection.connect();
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new LinkError("no answer to the login")), connectTimeoutMs + requestTimeoutMs);
      });
      await Promise.race([connection.authenticate(), late]);
    } catch (thrown) {
      drop(connection);
      throw this.#explain("connect", thrown);
    } finally {
      clearTimeout(timer);
    }
    if (this.#closed) {
      drop(connection);
      throw new LinkError(`The connection to ${this.#host}:${this.#port} is closed.`);
    }
    this.#connection = connection;
    return connection;
  }

  #explain(what: string, thrown: unknown): Error {
    if (thrown instanceof LinkError || thrown instanceof KeyfoldError) return thrown;
    const { name, message } = thrown instanceof Error ? thrown : { name: "Error", message: String(thrown) };
    const where = `${this.#host}:${this.#port}`;
    if (name === "KafkaJSSASLAuthenticationError" || /SASL/.test(message)) {
      return new KeyfoldError("unauthorized", `Kafka at ${where} refused the login: ${message}. Check log.sasl in the config.`, {
        cause: thrown,
        details: { broker: where },
      });
    }
    if (thrown instanceof Error && "code" in thrown && TLS_CODES.test(String(thrown.code))) {
      return new KeyfoldError(
        "log-unavailable",
        `TLS with Kafka at ${where} failed: ${message}. Check log.ssl in the config, \`ca\` above all.`,
        { cause: thrown, details: { broker: where } },
      );
    }
    return new LinkError(`${what} to ${where}: ${message}`, thrown);
  }
}

const silent: ConnectionLogger = { namespace: () => silent, debug() {}, info() {}, warn() {}, error() {} };
const socketFactory: ReturnType<typeof createSocketFactory> = (options) => {
  const socket = createSocketFactory()(options);
  socket.setNoDelay(true);
  return socket;
};

/** Fails what is under way and closes the socket at once; kafkajs' own disconnect waits for answers first. */
function drop(connection: KafkaConnection): void {
  connection.rejectRequests(new LinkError("the connection was closed"));
  connection.disconnect().catch(() => undefined);
  connection.socket?.destroy();
}

function encode<Q, A>(api: Api<Q, A>, request: Q): { buf: Buffer; buffer: Buffer } {
  const writer = new Writer(api.size?.(request));
  if (api.flexible === true) writer.tags();
  api.write(writer, request);
  const bytes = writer.view();
  return { buf: bytes, buffer: bytes };
}

function decode<Q, A>(api: Api<Q, A>, payload: Buffer): A {
  const reader = new Reader(payload);
  if (api.flexible === true) reader.tags();
  return api.read(reader);
}
