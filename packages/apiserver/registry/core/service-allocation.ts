import type { FieldError } from '@coffer/api/errors/field-error';
import type { V1ServiceSpec } from '@coffer/api/generated/types';
import type { Mutable } from '@coffer/api/meta/object';
import { cloneJson } from '@coffer/api/meta/safe-object';
import type { Claims, KeyClaims } from '@coffer/storage/servers/key-claims';
import type { WriteContext } from '../generic/strategy.ts';
import { assignAddress, type ServiceNetwork } from './service-addresses.ts';
import { assignHealthCheckPort, assignNodePorts, nodePortsOf } from './service-node-ports.ts';

export interface ServiceAllocationDeps {
  /** The specs of all services, as fresh as the watch cache. */
  readonly specs: () => readonly V1ServiceSpec[];
  /** Resolves when `specs` has everything that is stored now. */
  readonly whenFresh: () => Promise<void> | undefined;
  readonly network: ServiceNetwork;
  /** What this server gives away while others on the same store do so too; undefined when it has the store for itself. */
  readonly claims: KeyClaims | undefined;
}

/** What a write on its way was given. */
interface Reservation {
  readonly spec: V1ServiceSpec;
  /** The port of the health check, when the write did not choose it itself. */
  readonly healthCheckPort: number | undefined;
  readonly claims: Claims | undefined;
}

/** Every attempt but the last has met another server that wanted the same. */
const maxAttempts = 30;
const nothing: ReadonlySet<string> = new Set();

/**
 * Cluster addresses and node ports of services. What a write is given is reserved until the write is over, so that two writes at the same
 * time never get the same: in memory among the writes of this server, by claims among servers.
 */
export class ServiceAllocation {
  readonly #deps: ServiceAllocationDeps;
  readonly #reserved = new Map<WriteContext, Reservation>();

  constructor(deps: ServiceAllocationDeps) {
    this.#deps = deps;
  }

  /** Chooses the port of a balancer's health check, in place and before the service is validated. */
  chooseHealthCheckPort(spec: Mutable<V1ServiceSpec>, context: WriteContext, busy: ReadonlySet<string> = nothing): void {
    const given = spec.healthCheckNodePort ?? 0;
    assignHealthCheckPort(spec, () => this.#takenPorts(context, busy));
    const port = spec.healthCheckNodePort ?? 0;
    this.#reserve(context, { spec: { healthCheckNodePort: port }, healthCheckPort: given === 0 && port !== 0 ? port : undefined });
  }

  /** Gives a service what it lacks, in place; `before` is the spec that is replaced. */
  allocate(spec: Mutable<V1ServiceSpec>, before: V1ServiceSpec | undefined, context: WriteContext): FieldError[] | Promise<FieldError[]> {
    const { claims } = this.#deps;
    if (claims === undefined || context.dryRun) return this.#assign(spec, before, context, nothing);
    return this.#assignClaimed(spec, before, context, claims);
  }

  /** The write is over; what it stored is visible. */
  settled(context: WriteContext): Promise<void> | undefined {
    const held = this.#reserved.get(context)?.claims;
    this.#reserved.delete(context);
    return held?.release();
  }

  #assign(spec: Mutable<V1ServiceSpec>, before: V1ServiceSpec | undefined, context: WriteContext, busy: ReadonlySet<string>): FieldError[] {
    const addresses = () => new Set([...this.#others(context).flatMap(({ clusterIPs }) => clusterIPs ?? []), ...busy]);
    const errors = assignAddress(spec, before, this.#deps.network, addresses);
    if (errors.length === 0) errors.push(...assignNodePorts(spec, before, () => this.#takenPorts(context, busy)));
    if (errors.length === 0) this.#reserve(context, { spec });
    return errors;
  }

  /** While other servers do the same: what was given is claimed, then compared with what is stored by then. */
  async #assignClaimed(
    spec: Mutable<V1ServiceSpec>,
    before: V1ServiceSpec | undefined,
    context: WriteContext,
    claims: KeyClaims,
  ): Promise<FieldError[]> {
    const asked: V1ServiceSpec = cloneJson(spec);
    const kept = new Set(before === undefined ? [] : namesOf(before));
    const busy = new Set<string>();
    for (let attempt = 1; attempt <= maxAttempts; attempt++) {
      await this.#releaseClaims(context);
      const errors = this.#assign(spec, before, context, busy);
      if (errors.length > 0) return errors;
      const names = namesOf(spec).filter((name) => !kept.has(name));
      if (names.length === 0) return [];
      const lost = await this.#claim(names, context, claims);
      if (lost.length === 0) return [];
      for (const name of lost) busy.add(name);
      const healthCheckPort = this.#reserved.get(context)?.healthCheckPort;
      Object.assign(clear(spec), cloneJson(asked));
      // What was asked has the port that was chosen first; another one may have taken its place since.
      if (healthCheckPort !== undefined) spec.healthCheckNodePort = healthCheckPort;
      if (healthCheckPort !== undefined && busy.has(String(healthCheckPort))) {
        delete spec.healthCheckNodePort;
        this.chooseHealthCheckPort(spec, context, busy);
      }
    }
    throw new Error('other servers give away the same addresses and ports again and again');
  }

  /** Names that somebody else has, or one that somebody claims at this moment; none when all of them are claimed for this write now. */
  async #claim(names: readonly string[], context: WriteContext, claims: KeyClaims): Promise<readonly string[]> {
    const claim = await claims.claim(names);
    if ('taken' in claim) return [claim.taken];
    this.#reserve(context, { claims: claim.held });
    await this.#deps.whenFresh();
    const stored = new Set(this.#others(context).flatMap(namesOf));
    return names.filter((name) => stored.has(name));
  }

  async #releaseClaims(context: WriteContext): Promise<void> {
    const held = this.#reserved.get(context)?.claims;
    this.#reserve(context, { claims: undefined });
    await held?.release();
  }

  #reserve(context: WriteContext, change: Partial<Reservation>): void {
    const before = this.#reserved.get(context) ?? { spec: {}, healthCheckPort: undefined, claims: undefined };
    this.#reserved.set(context, { ...before, ...change });
  }

  #takenPorts(context: WriteContext, busy: ReadonlySet<string>): ReadonlySet<number> {
    return new Set([...this.#others(context).flatMap(nodePortsOf), ...[...busy].map(Number)]);
  }

  /** The specs whose addresses and ports a write cannot have: those stored and those on their way. */
  #others(context: WriteContext): readonly V1ServiceSpec[] {
    return [...this.#deps.specs(), ...[...this.#reserved].filter(([writer]) => writer !== context).map(([, { spec }]) => spec)];
  }
}

/** Addresses and ports of a service, as names that are unique among both. */
function namesOf(spec: V1ServiceSpec): string[] {
  return [...(spec.clusterIPs ?? []).filter((address) => address !== 'None'), ...nodePortsOf(spec).map(String)];
}

function clear(spec: Mutable<V1ServiceSpec>): Mutable<V1ServiceSpec> {
  for (const field of Object.keys(spec) as (keyof V1ServiceSpec)[]) delete spec[field];
  return spec;
}
