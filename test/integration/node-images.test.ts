/** Images as a node gets them: from a registry with a password, by policy, with the Secrets of pod and account, and as volumes. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CofferProcess, eventually } from '../support/coffer-process.ts';
import { containerdVersions, TestContainerd } from '../support/containerd.ts';
import { registryUser, TestRegistry } from '../support/test-registry.ts';

const skip = process.platform !== 'linux' || process.getuid?.() !== 0;
if (skip) console.log('skipped: images on real containers (needs root on Linux)');

describe.skipIf(skip).each(containerdVersions)('images of a node on containerd %s', (version) => {
  let containerd: TestContainerd;
  let registry: TestRegistry;
  let coffer: CofferProcess;
  let image: string;

  beforeAll(async () => {
    const port = await TestRegistry.freePort();
    containerd = await TestContainerd.start({ version, plainHttpRegistries: [`127.0.0.1:${port}`] });
    registry = await TestRegistry.start(port);
    const layer = await containerd.busyboxLayer();
    image = await registry.push('team/app', 'v1', { entrypoint: ['sh', '-c'], command: ['sleep 1000'] }, layer);
    const file = (path: string, text: string) => ({ path, kind: 'file', mode: 0o644, content: Buffer.from(text) }) as const;
    const directory = { path: 'models', kind: 'directory', mode: 0o755 } as const;
    await registry.push('team/data', 'v1', {}, [directory, file('models/one', 'first\n'), file('top', 'top\n')]);
    coffer = await CofferProcess.start({ args: ['--runtime', 'cri', '--container-runtime-endpoint', containerd.endpoint] });
  });
  afterAll(async () => {
    await coffer?.dispose();
    await registry?.stop();
    await containerd?.stop();
  });

  const apply = async (...items: object[]) => {
    const result = await coffer.kubectl(['apply', '-f', '-'], { input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }) });
    expect(result.stderr).toBe('');
  };
  const pod = (name: string, container: object, spec: object = {}) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default' },
    spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image, ...container }], ...spec },
  });
  const secret = (name: string, type: string, key: string, config: object) => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: 'default' },
    type: `kubernetes.io/${type}`,
    stringData: { [key]: JSON.stringify(config) },
  });
  const status = async (name: string) => {
    const { containerStatuses } = JSON.parse((await coffer.kubectl(['get', 'pod', name, '-o', 'json'])).stdout).status;
    return containerStatuses?.[0] as
      | { state: { waiting?: { reason: string; message: string }; running?: object }; imageID: string }
      | undefined;
  };
  const waiting = (name: string, reason: string) =>
    eventually(`${name}: ${reason}`, async () => {
      const found = (await status(name))?.state.waiting;
      return found?.reason === reason && found.message;
    });
  const running = (name: string) => eventually(`${name} to run`, async () => (await status(name))?.state.running !== undefined);
  const events = async (name: string) => {
    const { stdout } = await coffer.kubectl(['get', 'events', '--field-selector', `involvedObject.name=${name}`, '-o', 'json']);
    return (JSON.parse(stdout).items as { type: string; reason: string; message: string }[]).map(
      (e) => `${e.type} ${e.reason} ${e.message}`,
    );
  };

  it('say why a pull without credentials fails, back off, and name what Secret is missing', async () => {
    await apply(pod('anonymous', {}, { imagePullSecrets: [{ name: 'nowhere' }] }));
    const failure = await waiting('anonymous', 'ErrImagePull');
    expect(failure).toMatch(new RegExp(`^failed to pull and unpack image "${image}": failed to resolve (reference|image).*auth`));
    expect(await waiting('anonymous', 'ImagePullBackOff')).toBe(`Back-off pulling image "${image}": ErrImagePull: ${failure}`);
    await eventually('its events', async () => {
      const found = await events('anonymous');
      expect(found).toContain(
        'Warning FailedToRetrieveImagePullSecret Unable to retrieve some image pull secrets (nowhere); attempting to pull the image may not succeed.',
      );
      expect(found).toContain(`Normal Pulling Pulling image "${image}"`);
      expect(found).toContain(`Warning Failed Failed to pull image "${image}": ${failure}`);
      expect(found).toContain('Warning Failed Error: ErrImagePull');
      expect(found).toContain(`Normal BackOff Back-off pulling image "${image}"`);
      expect(found).toContain('Warning Failed Error: ImagePullBackOff');
      return true;
    });
  });

  it('tell an image that does not exist, and policies that do not pull', async () => {
    const auths = { auths: { [registry.address]: registryUser } };
    await apply(
      secret('pull', 'dockerconfigjson', '.dockerconfigjson', auths),
      pod('missing', { image: `${registry.address}/team/none:v1` }, { imagePullSecrets: [{ name: 'pull' }] }),
      pod('never', { imagePullPolicy: 'Never' }),
      pod('no-name', { image: 'Not A Name' }),
    );
    const none = `${registry.address}/team/none:v1`;
    const failure = await waiting('missing', 'ErrImagePull');
    expect(failure.startsWith(`rpc error: code = NotFound desc = failed to pull and unpack image "${none}": failed to resolve`)).toBe(true);
    expect(failure).toMatch(/: not found$/);
    expect(await waiting('never', 'ErrImageNeverPull')).toBe(`Container image "${image}" is not present with pull policy of Never`);
    expect(await waiting('no-name', 'InvalidImageName')).toContain('Failed to apply default image tag "Not A Name"');
  });

  it('are pulled with the Secrets of the pod, and of its account', async () => {
    const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'puller' }, imagePullSecrets: [{ name: 'old-style' }] };
    await apply(
      secret('old-style', 'dockercfg', '.dockercfg', { [`http://${registry.address}/team`]: registryUser }),
      account,
      pod('by-pod', { imagePullPolicy: 'Always' }, { imagePullSecrets: [{ name: 'pull' }] }),
    );
    await running('by-pod');
    await eventually('its events', async () =>
      (await events('by-pod')).some((text) =>
        /^Normal Pulled Successfully pulled image ".*" in \S+s \(\S+s including waiting\)\. Image size: \d+ bytes\.$/.test(text),
      ),
    );
    await apply(pod('by-account', { imagePullPolicy: 'Always' }, { serviceAccountName: 'puller' }));
    await running('by-account');
    expect((await status('by-account'))?.imageID).toBe((await status('by-pod'))?.imageID);
  });

  it('that are private stay so: being there is not enough for a pod without credentials', async () => {
    await apply(pod('present', { imagePullPolicy: 'IfNotPresent' }, { imagePullSecrets: [{ name: 'pull' }] }));
    await running('present');
    const text = `Normal Pulled Container image "${image}" already present on machine and can be accessed by the pod`;
    await eventually('its event', async () => (await events('present')).includes(text));
    const others = { imagePullPolicy: 'IfNotPresent' };
    await apply(pod('stranger', others), pod('local', { ...others, image: containerd.image, command: ['sleep', '1000'] }));
    expect(await waiting('stranger', 'ErrImagePull')).toContain('auth');
    await running('local');
  });

  it('are mounted as volumes where the runtime can, and refused with the reason where not', async () => {
    const reference = `${registry.address}/team/data:v1`;
    const spec = (reference: string) => ({
      imagePullSecrets: [{ name: 'pull' }],
      volumes: [{ name: 'data', image: { reference, pullPolicy: 'IfNotPresent' } }],
    });
    const container = (mount: object) => {
      const volumeMounts = [{ name: 'data', mountPath: '/data', ...mount }];
      return { image: containerd.image, imagePullPolicy: 'IfNotPresent', command: ['sleep', '1000'], volumeMounts };
    };
    await apply(
      pod('volume', container({}), spec(reference)),
      pod('part', container({ subPath: 'models' }), spec(reference)),
      pod('no-volume', container({}), spec(`${registry.address}/team/gone:v1`)),
    );
    expect(await waiting('no-volume', 'ErrImagePull')).toMatch(/team\/gone:v1.*: not found$/);
    const tooOld = await waiting('part', 'CreateContainerError');
    if (version === 'stable') {
      expect(tooOld).toMatch(/^image volumes need containerd 2\.1 or newer: this node has containerd 1\./);
      expect(await waiting('volume', 'CreateContainerError')).toBe(tooOld);
      return;
    }
    expect(tooOld).toMatch(/^sub paths of image volumes need containerd 2\.2 or newer: this node has containerd 2\.1\./);
    await running('volume');
    const run = async (script: string) => (await coffer.kubectl(['exec', 'volume', '--', 'sh', '-c', script])).stdout;
    expect(await run('cat /data/models/one /data/top; touch /data/new 2>&1 | grep -o Read-only')).toBe('first\ntop\nRead-only\n');
  });
});
