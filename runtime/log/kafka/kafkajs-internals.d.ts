/** The parts of kafkajs that keyfold uses below its public interface; version 2.2.4 is pinned by the lock file, and the Kafka tests run against it. */
declare module "kafkajs/src/network/connection.js" {
  export interface RawRequest {
    readonly apiKey: number;
    readonly apiVersion: number;
    readonly apiName: string;
    /** kafkajs takes its own Encoder here; all it reads of one are these two. */
    encode(): Promise<{ readonly buf: Buffer; readonly buffer: Buffer }>;
  }
  export interface RawResponse<D, T> {
    decode(payload: Buffer): Promise<D>;
    parse(decoded: D): Promise<T>;
  }
  export interface ConnectionLogger {
    namespace(name: string): ConnectionLogger;
    debug(message: string, extra?: object): void;
    info(message: string, extra?: object): void;
    warn(message: string, extra?: object): void;
    error(message: string, extra?: object): void;
  }
  export interface ConnectionOptions {
    readonly host: string;
    readonly port: number;
    readonly logger: ConnectionLogger;
    readonly socketFactory: (options: {
      host: string;
      port: number;
      ssl: object | null;
      onConnect: () => void;
    }) => import("node:net").Socket;
    readonly requestTimeout: number;
    readonly connectionTimeout: number;
    readonly enforceRequestTimeout: boolean;
    readonly clientId: string;
    readonly ssl: object | null;
    readonly sasl: object | null;
  }
  export default class Connection {
    constructor(options: ConnectionOptions);
    readonly socket?: import("node:net").Socket;
    readonly requestQueue: { scheduleCheckPendingRequests(): void };
    isConnected(): boolean;
    connect(): Promise<boolean>;
    authenticate(): Promise<void>;
    disconnect(): Promise<boolean>;
    setVersions(versions: Record<number, { minVersion: number; maxVersion: number }>): void;
    setSupportAuthenticationProtocol(supported: boolean): void;
    rejectRequests(error: Error): void;
    send<D, T>(call: { request: RawRequest; response: RawResponse<D, T>; logResponseError: boolean }): Promise<T>;
  }
}
declare module "kafkajs/src/network/socketFactory.js" {
  export default function createSocketFactory(): import("kafkajs/src/network/connection.js").ConnectionOptions["socketFactory"];
}
