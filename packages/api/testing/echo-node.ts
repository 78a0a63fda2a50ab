import { type ExecOptions, type ExecResult, type NodeApi, NodeRefusal, type ProcessStreams } from '../node/node-api.ts';

/**
 * A node for tests of streams. Commands: `cat` echoes its input (and is what an attachment finds), `size` prints the first terminal
 * size, `broken` cannot be run, anything else prints itself, says `err` and exits with 3. Port 81 is closed, every other one says its
 * number before what it is sent. Container `gone` does not run. A request is answered with itself, by 201 when it has a body.
 */
export const echoNode: NodeApi = {
  async logs(_pod, options, out) {
    if (options.previous) throw new NodeRefusal(400, `previous terminated container "${options.container}" in pod "p" not found`);
    for (let line = 0; line < (options.tailLines ?? 2); line++) await out.write(Buffer.from(`${options.container} ${line}\n`));
  },
  async exec(_pod, options) {
    refuseGone(options);
    return (streams) => runCommand(options.command, streams);
  },
  async attach(_pod, options) {
    refuseGone(options);
    return (streams) => runCommand(['cat'], streams);
  },
  portForward: async () => async (port, stream) => {
    if (port === 81) throw new Error('connection refused');
    for await (const chunk of stream.input) await stream.output.write(Buffer.from(`${port}:${Buffer.from(chunk).toString('utf8')}`));
    stream.end();
  },
  async request({ method, path, headers, body }) {
    const text = JSON.stringify({ method, path, headers, body: Buffer.from(body).toString('utf8') });
    const chunks = (async function* () {
      yield Buffer.from(text);
    })();
    return {
      status: body.byteLength === 0 ? 200 : 201,
      headers: { 'content-type': 'application/json', connection: 'close' },
      body: chunks,
    };
  },
};

function refuseGone({ container }: ExecOptions): void {
  if (container === 'gone') throw new NodeRefusal(500, 'container not found ("gone")');
}

async function runCommand(command: readonly string[], streams: ProcessStreams): Promise<ExecResult> {
  switch (command[0]) {
    case 'cat':
      for await (const chunk of streams.stdin ?? []) await streams.stdout?.write(chunk);
      return { kind: 'exited', code: 0 };
    case 'size':
      for await (const { width, height } of streams.resize ?? []) {
        await streams.stdout?.write(Buffer.from(`${width}x${height}`));
        break;
      }
      return { kind: 'exited', code: 0 };
    case 'broken':
      return { kind: 'failed', message: 'no such file' };
    default:
      await streams.stdout?.write(Buffer.from(`out ${command.join(' ')}`));
      await streams.stderr?.write(Buffer.from('err'));
      return { kind: 'exited', code: 3 };
  }
}
