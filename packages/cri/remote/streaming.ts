/**
 * The streaming side of CRI: the runtime answers exec, attach and port-forward with a URL of its own server, which speaks SPDY/3.1
 * with the sub-protocols of Kubernetes' remote commands.
 */
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { relayCommand, relayPort } from '@coffer/base/spdy/client';
import { readCommandStatus } from '@coffer/base/spdy/command-status';
import { SpdySession } from '@coffer/base/spdy/session';
import { requestUpgrade, type SpdyProtocol, spdyProtocols, upgradeHeaders } from '@coffer/base/spdy/upgrade';
import { RuntimeRefusal, type StreamExec, type StreamPair } from '../runtime/container-runtime.ts';

/** Runs the streams of an exec or attach; resolves to the exit status. */
export async function streamCommand(url: string, options: Omit<StreamExec, 'command'>, signal: AbortSignal): Promise<number> {
  // A terminal has one output.
  const streams = options.tty ? { ...options, stderr: undefined } : options;
  const result = readCommandStatus(await inSession(url, spdyProtocols.command, signal, (session) => relayCommand(session, streams)));
  if (result.kind === 'failed') throw new RuntimeRefusal('ExecFailed', result.message);
  return result.code;
}

/** Carries one connection to a port. */
export async function streamPort(url: string, port: number, stream: StreamPair, signal: AbortSignal): Promise<void> {
  const message = await inSession(url, spdyProtocols.portForward, signal, (session) => relayPort(session, port, 0, stream));
  if (message !== '') throw new RuntimeRefusal('PortForwardFailed', message);
}

async function inSession<T>(
  url: string,
  protocol: SpdyProtocol,
  signal: AbortSignal,
  use: (session: SpdySession) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const session = await upgrade(url, protocol);
  const close = (): void => session.close();
  signal.addEventListener('abort', close, { once: true });
  try {
    signal.throwIfAborted();
    const result = await use(session);
    signal.throwIfAborted();
    return result;
  } catch (error) {
    // A session that is closed under it fails in words of its own.
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', close);
    session.close();
  }
}

async function upgrade(url: string, protocol: SpdyProtocol): Promise<SpdySession> {
  const request = url.startsWith('https:') ? httpsRequest : httpRequest;
  const outgoing = request(url, {
    method: 'POST',
    headers: upgradeHeaders(protocol),
    // The runtime serves its streams with a certificate made for the occasion; the URL itself came over its socket and is a secret.
    ...(url.startsWith('https:') ? { rejectUnauthorized: false } : {}),
    agent: false,
  });
  const answer = await requestUpgrade(outgoing);
  if (answer instanceof SpdySession) return answer;
  answer.resume();
  throw new Error(`the container runtime answered ${answer.statusCode} to a stream request`);
}
