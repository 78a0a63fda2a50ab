/**
 * Networks of a plain user's pods: each pod has one with loopback and an address, which nobody else reaches. Where `pasta` or
 * `slirp4netns` can be used it is connected: the pod then reaches what this machine reaches, and this machine's loopback under one address.
 * Whether a tool works is tried once at the start, because it may be there and not allowed.
 */
import { constants } from 'node:fs';
import { access, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { AddressPool } from './address-pool.ts';
import { endHeldProcesses } from './held-processes.ts';
import type { Instruction } from './program.ts';
import { toolEnvironment } from './tools.ts';

/** Where the launch program notes the processes of a pod, and what the tool says. */
export interface HolderPaths {
  readonly holder: string;
  readonly networkLog: string;
}

type RunProgram = (instructions: readonly Instruction[]) => Promise<void>;

export interface UserNetworkOptions {
  readonly podCidr?: string;
  readonly tool?: 'pasta' | 'slirp4netns';
}

interface Connector {
  readonly tool: NonNullable<UserNetworkOptions['tool']>;
  /** Arguments, with `PID` for the process whose namespace is connected. */
  readonly command: readonly string[];
}

const device = 'eth0';
const tunnel = '/dev/net/tun';

export class UserNetwork {
  readonly #addresses: AddressPool;
  readonly #connector: Connector | undefined;
  /** Why pods have loopback only. */
  readonly #reason: string;

  private constructor(addresses: AddressPool, connector: Connector | undefined, reason: string) {
    this.#addresses = addresses;
    this.#connector = connector;
    this.#reason = reason;
  }

  /** `tool` is the only one that may be used; otherwise the first that works. */
  static async open(stateDir: string, { podCidr, tool }: UserNetworkOptions, runProgram: RunProgram): Promise<UserNetwork> {
    // The first ones are what slirp4netns keeps for itself.
    const addresses = await AddressPool.open(stateDir, podCidr, 4);
    const connectors = [pasta(addresses), slirp4netns(addresses)].filter((connector) => tool === undefined || connector.tool === tool);
    const reasons: string[] = [];
    for (const connector of connectors) {
      if (!(await isInstalled(connector.tool))) continue;
      const reason = await failureOf(addresses, connector, stateDir, runProgram);
      if (reason === undefined) return new UserNetwork(addresses, connector, '');
      reasons.push(`${connector.tool}: ${reason}`);
    }
    const reason = reasons.length > 0 ? reasons.join('; ') : 'neither pasta nor slirp4netns is installed';
    return new UserNetwork(addresses, undefined, reason);
  }

  /** Leads pods to the loopback of this machine; undefined where they have loopback of their own only. */
  get gateway(): string | undefined {
    return this.#connector && gatewayOf(this.#addresses);
  }

  /** Answers pods as the machine's own name server does; undefined where nothing does. */
  get nameServer(): string | undefined {
    return this.#connector && nameServerOf(this.#addresses);
  }

  /** What pods reach, for people. */
  get limitation(): string {
    return this.#connector
      ? `pods reach what this machine reaches through ${this.#connector.tool}, its loopback at ${this.gateway}, and not each other; host ports are not served`
      : `pods reach only themselves, neither each other nor the API server nor other networks (${this.#reason})`;
  }

  adopt(podId: string, ip: string): void {
    this.#addresses.adopt(podId, ip);
  }

  /** Gives a pod an address; the instructions make and connect its network. */
  connect(podId: string, paths: HolderPaths): { readonly ip: string; readonly instructions: readonly Instruction[] } {
    const ip = this.#addresses.take(podId);
    return { ip, instructions: networkInstructions(this.#addresses, this.#connector, ip, paths) };
  }

  release(podId: string): void {
    this.#addresses.release(podId);
  }
}

function gatewayOf(addresses: AddressPool): string {
  return addresses.reserved(2);
}

function nameServerOf(addresses: AddressPool): string {
  return addresses.reserved(3);
}

/** No port of a pod shows on the machine, and none of the machine in a pod. */
function pasta(addresses: AddressPool): Connector {
  const forwards = ['-t', 'none', '-u', 'none', '-T', 'none', '-U', 'none'];
  const gateway = ['-g', gatewayOf(addresses), '--dns-forward', nameServerOf(addresses)];
  return { tool: 'pasta', command: ['pasta', '-f', '-e', '-q', '-4', ...forwards, '-I', device, ...gateway, 'PID'] };
}

function slirp4netns(addresses: AddressPool): Connector {
  return { tool: 'slirp4netns', command: ['slirp4netns', `--cidr=${addresses.cidr}`, 'PID', device] };
}

function networkInstructions(addresses: AddressPool, connector: Connector | undefined, ip: string, paths: HolderPaths): Instruction[] {
  return [
    ['hold', paths.holder, 'sleep', 'infinity'],
    ...(connector ? [['network_helper', paths.holder, paths.networkLog, ...connector.command] as const] : []),
    ['enter_held'],
    ['link_up', 'lo'],
    // As container engines have it: a user may listen on any port of the pod and send pings.
    ['try_write', '/proc/sys/net/ipv4/ip_unprivileged_port_start', '0'],
    ['try_write', '/proc/sys/net/ipv4/ping_group_range', '0 0'],
    ...(connector
      ? ([
          ['wait_for_link', device],
          ['address', device, ip, addresses.netmask],
          ['link_up', device],
          ['default_route', gatewayOf(addresses)],
        ] as const)
      : // A second address of the loopback device: other kinds of devices need modules that the kernel may not have.
        ([['address', 'lo:1', ip, '255.255.255.255']] as const)),
  ];
}

/** Why a tool cannot be used, by using it. */
async function failureOf(
  addresses: AddressPool,
  connector: Connector,
  stateDir: string,
  runProgram: RunProgram,
): Promise<string | undefined> {
  try {
    await access(tunnel, constants.R_OK | constants.W_OK);
  } catch {
    return `this user may not use ${tunnel}`;
  }
  const paths = { holder: join(stateDir, 'network-trial'), networkLog: join(stateDir, 'network-trial.log') };
  const cleanUp = async () => {
    await endHeldProcesses(paths.holder);
    for (const path of Object.values(paths)) await rm(path, { force: true });
  };
  // What a start that was cut off has left.
  await cleanUp();
  try {
    await runProgram(networkInstructions(addresses, connector, addresses.reserved(4), paths));
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    await cleanUp();
  }
}

async function isInstalled(tool: string): Promise<boolean> {
  const places = (toolEnvironment.PATH ?? '').split(':').map((directory) => access(join(directory, tool), constants.X_OK));
  return (await Promise.allSettled(places)).some(({ status }) => status === 'fulfilled');
}
