/** The AdapterPolicy of a namespace, as a document of a manifest file. */
export const policyOf = (namespace: string, spec: object): string =>
  `${JSON.stringify({
    apiVersion: 'adaptlet.io/v1alpha1',
    kind: 'AdapterPolicy',
    metadata: { name: 'default', namespace },
    spec,
  })}\n---\n`;
