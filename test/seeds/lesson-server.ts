/**
 * The server that the documents' commands talk to. Its node runs on the sandbox, or, where `COFFER_LESSON_RUNTIME=containerd` stands in the
 * environment, on a containerd whose every registry is one that the tests filled with images under the names of the documents.
 */
import { CofferProcess } from '../support/coffer-process.ts';
import { TestContainerd } from '../support/containerd.ts';
import { TestRegistry } from '../support/test-registry.ts';

const images = ['library/alpine:latest', 'library/postgres:latest', 'myregistry/agent:v1.0', 'my-registry/python-app:1.0.0', 'app:1.0'];

export class LessonServer {
  readonly coffer: CofferProcess;
  /** Container engines write the last line of a log when it ends; the sandbox when it comes. */
  readonly holdsUnfinishedLines: boolean;
  readonly #engine: readonly { stop(): Promise<void> }[];

  private constructor(coffer: CofferProcess, engine: readonly { stop(): Promise<void> }[]) {
    this.coffer = coffer;
    this.#engine = engine;
    this.holdsUnfinishedLines = engine.length > 0;
  }

  static async start(): Promise<LessonServer> {
    if (process.env.COFFER_LESSON_RUNTIME !== 'containerd') return new LessonServer(await CofferProcess.start(), []);
    const port = await TestRegistry.freePort();
    const registry = await TestRegistry.start(port, { password: false });
    const containerd = await TestContainerd.start({ mirror: registry.address });
    const layer = await containerd.busyboxLayer();
    for (const image of images) {
      const [name = '', tag = ''] = image.split(':');
      await registry.push(name, tag, { command: ['sh'] }, layer);
    }
    const args = ['--runtime', 'cri', '--container-runtime-endpoint', containerd.endpoint];
    return new LessonServer(await CofferProcess.start({ args }), [registry, containerd]);
  }

  async stop(): Promise<void> {
    await this.coffer.dispose();
    for (const part of this.#engine) await part.stop();
  }
}
