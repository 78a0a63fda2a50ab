/** Conflicts of an apply: fields that others own and the configuration would change. */
import { quoteGo } from '../errors/field-error.ts';
import { StatusError } from '../errors/status-error.ts';
import type { Manager } from './managers.ts';
import type { PathElement } from './path-element.ts';
import { formatPath } from './path-element.ts';

export interface Conflict {
  /** Identity of the manager; conflicts are grouped and ordered by it. */
  readonly identity: string;
  readonly manager: Manager;
  readonly path: readonly PathElement[];
}

/** Thrown inside `apply`; becomes a 409 at its edge. */
export class ApplyConflictError extends Error {
  readonly conflicts: readonly Conflict[];

  constructor(conflicts: readonly Conflict[]) {
    super('apply conflict');
    this.name = 'ApplyConflictError';
    this.conflicts = [...conflicts].sort((a, b) => (a.identity < b.identity ? -1 : a.identity > b.identity ? 1 : 0));
  }

  /** The answer to the client: one cause per field, and a message that lists them by manager. */
  toStatusError(): StatusError {
    const causes = this.conflicts.map(({ manager, path }) => ({
      reason: 'FieldManagerConflict',
      message: `conflict with ${describeManager(manager)}`,
      field: formatPath(path),
    }));
    return new StatusError(409, 'Conflict', this.#message(), { causes }, { cause: this });
  }

  #message(): string {
    const [first] = this.conflicts;
    if (this.conflicts.length === 1 && first !== undefined) {
      return `Apply failed with 1 conflict: conflict with ${describeManager(first.manager)}: ${formatPath(first.path)}`;
    }
    const lines: string[] = [];
    let previous: string | undefined;
    for (const { identity, manager, path } of this.conflicts) {
      if (identity !== previous) lines.push(`conflicts with ${describeManager(manager)}:`);
      previous = identity;
      lines.push(`- ${formatPath(path)}`);
    }
    return `Apply failed with ${this.conflicts.length} conflicts: ${lines.join('\n')}`;
  }
}

function describeManager(manager: Manager): string {
  const subresource = manager.subresource === '' ? '' : ` with subresource ${quoteGo(manager.subresource)}`;
  const version = manager.operation === 'Update' ? ` using ${manager.apiVersion}` : '';
  return `${quoteGo(manager.manager)}${subresource}${version}`;
}
