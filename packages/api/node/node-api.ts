/**
 * What the API server asks a kubelet: logs and streams. In `coffer up` the kubelet in the same process implements it; across
 * machines a client of the kubelet's port does. Everything is addressed by pod UID so that a recreated pod is never confused.
 */
export interface NodeApi {
  /** Log lines as the container wrote them. Rejects with `NodeRefusal` (400 with upstream's texts for waiting or missing containers). */
  logs(pod: PodRef, options: LogOptions, out: ByteSink, signal: AbortSignal): Promise<void>;
  /** Finds the container before the client's connection is upgraded, or rejects with `NodeRefusal`. All ends when `signal` is aborted. */
  exec(pod: PodRef, options: ExecOptions, signal: AbortSignal): Promise<RunProcess>;
  attach(pod: PodRef, options: ExecOptions, signal: AbortSignal): Promise<RunProcess>;
  /** Finds the pod, likewise. */
  portForward(pod: PodRef, signal: AbortSignal): Promise<ForwardPort>;
  /** A request to one of the kubelet's own paths (`/pods`, `/healthz`, …), as its port answers it. Rejects when nobody answers. */
  request(request: NodeRequest, signal: AbortSignal): Promise<NodeAnswer>;
}

export interface NodeRequest {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body: Uint8Array;
}

/** The body may be read once. */
export interface NodeAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body: AsyncIterable<Uint8Array>;
}

/** Runs the command until it ends, or stays attached. Never rejects for a command's own failure: that is the result. Called once. */
export type RunProcess = (streams: ProcessStreams) => Promise<ExecResult>;

/** Carries one connection to a port inside the pod. Rejects with the reason when it cannot. */
export type ForwardPort = (port: number, stream: DuplexBytes) => Promise<void>;

/** A kubelet's refusal, as its port tells it: an HTTP status and a text. */
export class NodeRefusal extends Error {
  readonly code: number;

  constructor(code: number, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'NodeRefusal';
    this.code = code;
  }
}

export interface PodRef {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

export interface LogOptions {
  readonly container: string;
  readonly follow: boolean;
  readonly previous: boolean;
  readonly timestamps: boolean;
  readonly tailLines: number | undefined;
  readonly limitBytes: number | undefined;
  readonly sinceSeconds: number | undefined;
  /** RFC 3339. */
  readonly sinceTime: string | undefined;
}

export interface ExecOptions {
  readonly container: string;
  /** Empty for an attachment. */
  readonly command: readonly string[];
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
}

/** Exit code of the command, or the reason why it could not be run. */
export type ExecResult = { readonly kind: 'exited'; readonly code: number } | { readonly kind: 'failed'; readonly message: string };

/** Takes bytes with back-pressure: the promise resolves when more may be written; rejects when the receiver has gone. */
export interface ByteSink {
  write(chunk: Uint8Array): Promise<void>;
}

export interface ProcessStreams {
  /** Ends when the client closes its side. */
  readonly stdin: AsyncIterable<Uint8Array> | undefined;
  readonly stdout: ByteSink | undefined;
  readonly stderr: ByteSink | undefined;
  readonly resize: AsyncIterable<{ readonly width: number; readonly height: number }> | undefined;
}

export interface DuplexBytes {
  readonly input: AsyncIterable<Uint8Array>;
  readonly output: ByteSink;
  /** Half-close of our side. */
  end(): void;
}
