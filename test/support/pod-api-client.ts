/** A program for a pod that asks the API server with nothing but what every pod has, and prints what it was told as JSON. */
export const podApiClient = `
const fs = require('fs'), https = require('https'), dir = '/var/run/secrets/kubernetes.io/serviceaccount/';
const ask = (path) => new Promise((resolve) => {
  const options = { host: process.env.KUBERNETES_SERVICE_HOST, port: process.env.KUBERNETES_SERVICE_PORT, path, ca: fs.readFileSync(dir + 'ca.crt'),
    headers: { authorization: 'Bearer ' + fs.readFileSync(dir + 'token', 'utf8') } };
  https.get(options, (answer) => { let text = ''; answer.on('data', (chunk) => (text += chunk)).on('end', () => resolve({ status: answer.statusCode, text })); })
    .on('error', (error) => resolve({ status: 0, text: String(error) }));
});
(async () => {
  const allowed = await ask('/api/v1/namespaces/default/configmaps/greeting');
  const refused = await ask('/api/v1/namespaces/default/secrets/greeting');
  console.log(JSON.stringify({ allowed: allowed.status, text: allowed.text, refused: refused.status }));
})();
`;

/** What the program needs: a ConfigMap that its service account `reader` may read. */
export const podApiObjects: readonly object[] = [
  { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'greeting', namespace: 'default' }, data: { word: 'hello from the API' } },
  { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'reader', namespace: 'default' } },
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'Role',
    metadata: { name: 'reader', namespace: 'default' },
    rules: [{ apiGroups: [''], resources: ['configmaps'], verbs: ['get'] }],
  },
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: { name: 'reader', namespace: 'default' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'reader' },
    subjects: [{ kind: 'ServiceAccount', name: 'reader', namespace: 'default' }],
  },
];
