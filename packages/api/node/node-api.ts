/**
 * What the API server asks a kubelet: logs and streams. In `coffer up` the kubelet in the same process implements it; across
 * machines a client of the kubelet's port does. Everything is addressed by pod UID so that a recreated pod is never confused.
 */
export interface NodeApi {
  /** Log lines as the container wrote them. Throws StatusError (400 with upstream's texts for waiting or missing containers). */
  logs(pod: PodRef, options: LogOptions, out: ByteSink, signal: AbortSignal): Promise<void>;
  /** Runs a command in a container until it ends. Never rejects for a command's own failure: that is the result. */
  exec(pod: PodRef, options: ExecOptions, streams: ProcessStreams, signal: AbortSignal): Promise<ExecResult>;
  attach(pod: PodRef, options: Omit<ExecOptions, 'command'>, streams: ProcessStreams, signal: AbortSignal): Promise<ExecResult>;
  /** Connects to a port inside the pod. */
  portForward(pod: PodRef, port: number, stream: DuplexBytes, signal: AbortSignal): Promise<void>;
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
  readonly stream: 'All' | 'Stdout' | 'Stderr';
}

export interface ExecOptions {
  readonly container: string;
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
