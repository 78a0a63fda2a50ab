import type { SpdySession, SpdyStream } from './session.ts';

/** The client's side of Kubernetes' streams in a SPDY session: commands, and forwarded ports. */

type Bytes = AsyncIterable<Uint8Array>;
type Write = (chunk: Uint8Array) => Promise<void>;

/** The channels of a command; those that are undefined are not opened. */
export interface CommandStreams {
  readonly stdin: Bytes | undefined;
  readonly stdout: Write | undefined;
  readonly stderr: Write | undefined;
  /** With a terminal the server waits for the stream of sizes, whether there are any or not. */
  readonly tty: boolean;
  readonly resize: AsyncIterable<{ readonly width: number; readonly height: number }> | undefined;
}

/** Opens the streams in upstream's order and copies until the other side ends them; resolves to what it said about the result. */
export async function relayCommand(session: SpdySession, streams: CommandStreams): Promise<string> {
  const open = (streamtype: string) => session.openStream(new Map([['streamtype', streamtype]]));
  const error = await open('error');
  await error.end();
  const stdin = streams.stdin && (await open('stdin'));
  const stdout = streams.stdout && (await open('stdout'));
  const stderr = streams.stderr && (await open('stderr'));
  const resize = streams.tty ? await open('resize') : undefined;
  if (stdin) void copyIn(streams.stdin, stdin).catch(() => {});
  if (resize) void sendSizes(streams.resize, resize).catch(() => {});
  const [result] = await Promise.all([readAll(error), copyOut(stdout, streams.stdout), copyOut(stderr, streams.stderr)]);
  if (result === '' && error.wasReset) throw new Error('the connection was lost before the command ended');
  return result;
}

export interface PortStreams {
  readonly input: Bytes;
  readonly write: Write;
  readonly end: () => void;
}

/** Carries one connection to a port until the port's side ends; resolves to what the other side said about a failure, if anything. */
export async function relayPort(session: SpdySession, port: number, requestId: number, streams: PortStreams): Promise<string> {
  const open = (streamtype: string) =>
    session.openStream(
      new Map([
        ['streamtype', streamtype],
        ['port', String(port)],
        ['requestid', String(requestId)],
      ]),
    );
  const error = await open('error');
  await error.end();
  const data = await open('data');
  const failure = readAll(error);
  void copyIn(streams.input, data).catch(() => {});
  try {
    for await (const chunk of data) await streams.write(chunk);
  } catch (writeFailed) {
    data.reset();
    throw writeFailed;
  } finally {
    streams.end();
  }
  void data.end().catch(() => {});
  return failure;
}

async function copyOut(source: SpdyStream | undefined, write: Write | undefined): Promise<void> {
  if (!source) return;
  void source.end().catch(() => {});
  for await (const chunk of source) await write?.(chunk);
}

async function copyIn(source: Bytes | undefined, target: SpdyStream): Promise<void> {
  for await (const chunk of source ?? []) await target.write(chunk);
  await target.end();
}

async function sendSizes(sizes: CommandStreams['resize'], target: SpdyStream): Promise<void> {
  for await (const { width, height } of sizes ?? []) await target.write(Buffer.from(JSON.stringify({ Width: width, Height: height })));
}

async function readAll(stream: SpdyStream): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}
