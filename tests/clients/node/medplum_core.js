// @medplum/core at work: create, conditional create, upsert, read, search, pages, JSON Patch,
// history, vread, $everything, $validate, batch, bulk export, delete.
// Run with the FHIR base URL; exits 0 when everything that it is used for worked.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { MedplumClient } from '@medplum/core';

const run = randomUUID().slice(0, 13);
const fhir = new URL(process.argv[2]);
const medplum = new MedplumClient({
  baseUrl: `${fhir.origin}/`,
  fhirUrlPath: fhir.pathname.replace(/^\/|\/$/g, ''),
  fetch,
  cacheTime: 0,
});
const identifier = (value) => [{ system: 'urn:medplum', value: `${run}-${value}` }];

const patients = [];
for (let n = 0; n < 5; n += 1) {
  patients.push(
    await medplum.createResource({
      resourceType: 'Patient',
      identifier: identifier(n),
      name: [{ family: `Med${run}`, given: [`Nr${n}`] }],
      birthDate: `196${n}-06-06`,
    }),
  );
}
const known = await medplum.createResourceIfNoneExist(
  { resourceType: 'Patient', identifier: identifier(0) },
  `identifier=urn:medplum|${run}-0`,
);
assert.equal(known.id, patients[0].id);
const upserted = await medplum.upsertResource(
  { resourceType: 'Patient', identifier: identifier('up'), gender: 'female' },
  { identifier: `urn:medplum|${run}-up` },
);
const again = await medplum.upsertResource(
  { resourceType: 'Patient', identifier: identifier('up'), gender: 'other' },
  { identifier: `urn:medplum|${run}-up` },
);
assert.deepEqual([again.id, again.gender], [upserted.id, 'other']);

const read = await medplum.readResource('Patient', patients[1].id);
assert.equal(read.birthDate, '1961-06-06');
const updated = await medplum.updateResource({ ...read, active: true });
assert.equal(updated.meta.versionId, '2');
const patched = await medplum.patchResource('Patient', read.id, [
  { op: 'test', path: '/active', value: true },
  { op: 'add', path: '/gender', value: 'male' },
]);
assert.equal(patched.gender, 'male');

const exported = await medplum.bulkExport('Patient', 'Patient', undefined, { pollStatusOnAccepted: true, pollStatusPeriod: 100 });
assert.equal(exported.error.length, 0);
const files = await Promise.all(exported.output.map(async ({ url }) => (await medplum.download(url)).text()));
const lines = files.join('').trim().split('\n').map((line) => JSON.parse(line));
assert.deepEqual(lines.find((line) => line.id === read.id), patched);

const history = await medplum.readHistory('Patient', read.id);
assert.equal(history.entry.length, 3);
const version = await medplum.readVersion('Patient', read.id, '1');
assert.equal(version.active, undefined);

const found = await medplum.searchResources('Patient', { family: `Med${run}`, _sort: 'birthdate' });
assert.deepEqual(found.map((p) => p.id), patients.map((p) => p.id));
const one = await medplum.searchOne('Patient', `identifier=urn:medplum|${run}-3`);
assert.equal(one.id, patients[3].id);
const paged = [];
for await (const page of medplum.searchResourcePages('Patient', {
  family: `Med${run}`,
  _sort: '-birthdate',
  _count: 2,
})) {
  paged.push(...page.map((p) => p.id));
}
assert.deepEqual(paged, patients.map((p) => p.id).reverse());

const batch = await medplum.executeBatch({
  resourceType: 'Bundle',
  type: 'batch',
  entry: [
    {
      fullUrl: `urn:uuid:${randomUUID()}`,
      request: { method: 'POST', url: 'Observation' },
      resource: {
        resourceType: 'Observation',
        status: 'final',
        code: { coding: [{ system: 'http://loinc.org', code: '29463-7' }] },
        subject: { reference: `Patient/${read.id}` },
        valueQuantity: { value: 81.5, unit: 'kg' },
      },
    },
    { request: { method: 'GET', url: `Patient/${read.id}` } },
  ],
});
assert.deepEqual(batch.entry.map((e) => e.response.status.slice(0, 3)), ['201', '200']);
const observations = await medplum.search(
  'Observation',
  `subject=Patient/${read.id}&_include=Observation:subject&_total=accurate`,
);
assert.equal(observations.total, 1);
assert.deepEqual(observations.entry.map((e) => e.resource.resourceType).sort(), [
  'Observation',
  'Patient',
]);
const subject = await medplum.readReference(observations.entry[0].resource.subject ?? { reference: `Patient/${read.id}` });
assert.equal(subject.id, read.id);
const everything = await medplum.readPatientEverything(read.id);
assert.equal(everything.entry.some((e) => e.resource.resourceType === 'Observation'), true);
const outcome = await medplum.validateResource({ resourceType: 'Patient', gender: 'female' });
assert.equal(outcome.resourceType, 'OperationOutcome');

await medplum.deleteResource('Patient', patients[4].id);
await assert.rejects(medplum.readResource('Patient', patients[4].id));
await assert.rejects(
  medplum.createResource({ resourceType: 'Patient', gender: 'unknowable' }),
  (failure) => failure.outcome.issue[0].severity === 'error',
);
