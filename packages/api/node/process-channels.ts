import { isRecord } from '../meta/safe-object.ts';
import type { ByteSink, DuplexBytes, ExecOptions, ExecResult, ForwardPort, PodRef, ProcessStreams, RunProcess } from './node-api.ts';

/** Between the channels of a client's connection, whatever carries them, and what a node runs on them. */

type Channel = 'stdin' | 'stdout' | 'stderr' | 'resize';

/** The channels a client that asks for this opens, besides that for the result. */
export function channelsOf(options: ExecOptions): readonly Channel[] {
  return [
    ...(options.stdin ? ['stdin' as const] : []),
    ...(options.stdout ? ['stdout' as const] : []),
    ...(options.stderr ? ['stderr' as const] : []),
    ...(options.tty ? ['resize' as const] : []),
  ];
}

export interface ProcessChannels {
  readonly stdin?: AsyncIterable<Uint8Array> | undefined;
  readonly stdout?: ByteSink | undefined;
  readonly stderr?: ByteSink | undefined;
  /** Terminal sizes as JSON. */
  readonly resize?: AsyncIterable<Uint8Array> | undefined;
}

/** Runs with the channels that were asked for; an error is a result, too. */
export async function runOnChannels(run: RunProcess, options: ExecOptions, channels: ProcessChannels): Promise<ExecResult> {
  const { stdin, stdout, stderr, resize } = channels;
  const streams: ProcessStreams = {
    stdin: options.stdin ? stdin : undefined,
    stdout: options.stdout ? stdout : undefined,
    stderr: options.stderr ? stderr : undefined,
    resize: options.tty && resize ? terminalSizes(resize) : undefined,
  };
  try {
    return await run(streams);
  } catch (error) {
    return { kind: 'failed', message: error instanceof Error ? error.message : String(error) };
  }
}

/** Terminal sizes from their JSON messages; what is not one is left out. */
async function* terminalSizes(messages: AsyncIterable<Uint8Array>): AsyncGenerator<{ readonly width: number; readonly height: number }> {
  for await (const message of messages) {
    const size = parseSize(Buffer.from(message).toString('utf8'));
    if (size !== undefined) yield size;
  }
}

function parseSize(text: string): { readonly width: number; readonly height: number } | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isRecord(value)) return undefined;
  const { Width: width, Height: height } = value;
  return typeof width === 'number' && typeof height === 'number' && width > 0 && height > 0 ? { width, height } : undefined;
}

export function writerTo(sink: ByteSink | undefined): ((chunk: Uint8Array) => Promise<void>) | undefined {
  return sink && ((chunk) => sink.write(chunk));
}

/** A connection as node and runtime take it. */
export function connectionOf(stream: DuplexBytes): Omit<DuplexBytes, 'output'> & ByteSink {
  return { input: stream.input, write: (chunk) => stream.output.write(chunk), end: () => stream.end() };
}

/** Forwards to ports of a pod; what goes wrong is told in upstream's words, unless another node or the runtime has done so. */
export function forwardTo(pod: PodRef, forward: ForwardPort): ForwardPort {
  return async (port, stream) => {
    try {
      await forward(port, stream);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (reason.startsWith('error forwarding port ')) throw error;
      throw new Error(`error forwarding port ${port} to pod ${pod.uid}, uid : ${reason}`, { cause: error });
    }
  };
}
