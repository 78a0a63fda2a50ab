import { badRequest, forbidden } from '@coffer/api/errors/status-error';
import { NodeRefusal } from '@coffer/api/node/node-api';
import { forwardTo } from '@coffer/api/node/process-channels';
import type { HttpResponse } from '@coffer/base/http/handler';
import type { RequestContext } from '../../request/context.ts';
import { createRefusal } from '../authorize-verb.ts';
import type { SubresourceHandler } from '../dispatch.ts';
import { headerText } from '../negotiation.ts';
import { boolParameter } from '../options/query.ts';
import { admissionAttributes, type Scope } from '../scope.ts';
import { serveExec } from '../streaming/exec.ts';
import { servePortForward } from '../streaming/port-forward.ts';
import { containerOf, nodeOf, podRefOf } from './pod-container.ts';
import { type ConnectDeps, reachNode } from './reach-node.ts';

/** GET and POST of `pods/…/exec|attach|portforward`: a stream between the client and the pod's node. */
export function podConnectHandlers(
  subresource: 'exec' | 'attach' | 'portforward',
  deps: ConnectDeps,
): Readonly<Record<string, SubresourceHandler>> {
  const connect: SubresourceHandler = (context, scope) => connectPod(context, scope, subresource, deps);
  return { get: connect, create: connect };
}

async function connectPod(
  context: RequestContext,
  scope: Scope,
  subresource: 'exec' | 'attach' | 'portforward',
  deps: ConnectDeps,
): Promise<HttpResponse> {
  const { namespace, name } = context.info;
  await requireCreate(context, scope);
  const pod = scope.registry.served(scope.registry.get(namespace, name));
  const attributes = admissionAttributes(context, scope, 'CONNECT', { name, object: undefined, oldObject: pod, dryRun: false });
  await scope.tools.admission.admit(attributes);
  await scope.tools.admission.validate(attributes);

  const { http, query } = context;
  const ref = podRefOf(pod);
  if (subresource === 'portforward') {
    const node = await reachNode(deps, nodeOf(pod));
    requireUpgrade(context);
    return passingRefusals(async () => servePortForward(http, query, forwardTo(ref, await node.portForward(ref, http.signal))));
  }
  const container = containerOf(pod, query.get('container') ?? '');
  const node = await reachNode(deps, nodeOf(pod));
  const tty = boolParameter(query, 'tty') ?? false;
  const options = {
    container,
    command: subresource === 'exec' ? query.getAll('command') : [],
    stdin: boolParameter(query, 'stdin') ?? false,
    stdout: boolParameter(query, 'stdout') ?? subresource === 'attach',
    // A terminal has one output.
    stderr: !tty && (boolParameter(query, 'stderr') ?? subresource === 'attach'),
    tty,
  };
  requireUpgrade(context);
  return passingRefusals(async () => {
    if (!options.stdin && !options.stdout && !options.stderr) {
      throw new NodeRefusal(400, 'you must specify at least 1 of stdin, stdout, stderr');
    }
    if (subresource === 'exec' && options.command.length === 0) throw new NodeRefusal(400, 'you must specify at least one command');
    const run = await node[subresource](ref, options, http.signal);
    return serveExec(http, { kind: subresource, options, run, clock: scope.tools.clock });
  });
}

/** A WebSocket opens with GET, which readers may send as well: whoever opens a stream must be allowed to create. Throws StatusError 403 or 500. */
async function requireCreate(context: RequestContext, scope: Scope): Promise<void> {
  if (context.info.verb === 'create') return;
  const reason = await createRefusal(context, scope);
  if (reason !== undefined) throw forbidden(scope.registry.gr, context.info.name, reason);
}

/** What a kubelet refuses reaches the client as it is: clients print the text. */
async function passingRefusals(serve: () => Promise<HttpResponse>): Promise<HttpResponse> {
  try {
    return await serve();
  } catch (error) {
    if (!(error instanceof NodeRefusal)) throw error;
    return { kind: 'full', status: error.code, headers: { 'content-type': 'text/plain; charset=utf-8' }, body: error.message };
  }
}

function requireUpgrade(context: RequestContext): void {
  if (context.http.upgrade === undefined || headerText(context.http, 'upgrade') === '') throw badRequest('Upgrade request required');
}
