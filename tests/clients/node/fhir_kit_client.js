// fhir-kit-client at work: CRUD, vread, JSON Patch, searches of every kind, history, bundles, paging.
// Run with the FHIR base URL; exits 0 when everything that it is used for worked.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { Client } from 'fhir-kit-client';

const run = randomUUID().slice(0, 13);
const client = new Client({ baseUrl: process.argv[2] });

const metadata = await client.capabilityStatement();
assert.equal(metadata.resourceType, 'CapabilityStatement');

const made = [];
for (let n = 0; n < 5; n += 1) {
  made.push(
    await client.create({
      resourceType: 'Patient',
      body: {
        resourceType: 'Patient',
        identifier: [{ system: 'urn:kit', value: `${run}-${n}` }],
        name: [{ family: `Kit${run}`, given: [`Nr${n}`] }],
        birthDate: `200${n}-01-01`,
      },
    }),
  );
}
const { response } = Client.httpFor(made[0]);
assert.equal(response.status, 201);
assert.match(response.headers.get('location'), new RegExp(`Patient/${made[0].id}/_history/1$`));

const read = await client.read({ resourceType: 'Patient', id: made[0].id });
assert.equal(read.name[0].family, `Kit${run}`);
const updated = await client.update({
  resourceType: 'Patient',
  id: read.id,
  body: { ...read, gender: 'female' },
});
assert.equal(updated.meta.versionId, '2');
const patched = await client.patch({
  resourceType: 'Patient',
  id: read.id,
  jsonPatch: [
    { op: 'test', path: '/gender', value: 'female' },
    { op: 'replace', path: '/gender', value: 'other' },
    { op: 'add', path: '/active', value: true },
  ],
});
assert.deepEqual([patched.gender, patched.active, patched.meta.versionId], ['other', true, '3']);
const first = await client.vread({ resourceType: 'Patient', id: read.id, version: '1' });
assert.equal(first.gender, undefined);

const ours = { family: `Kit${run}` };
const found = await client.search({ resourceType: 'Patient', searchParams: ours });
assert.equal(found.total, 5);
const posted = await client.resourceSearch({
  resourceType: 'Patient',
  searchParams: ours,
  options: { postSearch: true },
});
assert.deepEqual(posted.entry.map((e) => e.resource.id), found.entry.map((e) => e.resource.id));

// Pages forward, and back again.
let page = await client.search({
  resourceType: 'Patient',
  searchParams: { ...ours, _count: 2, _sort: '-birthdate' },
});
const order = page.entry.map((e) => e.resource.id);
page = await client.nextPage({ bundle: page });
order.push(...page.entry.map((e) => e.resource.id));
const last = await client.nextPage({ bundle: page });
order.push(...last.entry.map((e) => e.resource.id));
assert.deepEqual(order, made.map((p) => p.id).reverse());
assert.equal(client.nextPage({ bundle: last }), undefined);
if (page.link.some((link) => /^prev/.test(link.relation))) {
  const before = await client.prevPage({ bundle: page });
  assert.deepEqual(before.entry.map((e) => e.resource.id), order.slice(0, 2));
}

const bundle = await client.transaction({
  body: {
    resourceType: 'Bundle',
    type: 'transaction',
    entry: [
      {
        fullUrl: `urn:uuid:${randomUUID()}`,
        resource: {
          resourceType: 'Observation',
          status: 'final',
          code: { coding: [{ system: 'http://loinc.org', code: '8867-4' }] },
          subject: { reference: `Patient/${made[1].id}` },
          valueQuantity: { value: 72, unit: '/min' },
        },
        request: { method: 'POST', url: 'Observation' },
      },
      {
        resource: {
          resourceType: 'Condition',
          subject: { reference: `Patient?identifier=urn:kit|${run}-1` },
          code: { text: 'Palpitations' },
        },
        request: { method: 'POST', url: 'Condition' },
      },
    ],
  },
});
assert.deepEqual(bundle.entry.map((e) => e.response.status.slice(0, 3)), ['201', '201']);
const compartment = await client.compartmentSearch({
  resourceType: 'Condition',
  compartment: { resourceType: 'Patient', id: made[1].id },
});
assert.equal(compartment.total, 1);
const withSubjects = await client.search({
  resourceType: 'Observation',
  searchParams: { subject: `Patient/${made[1].id}`, _include: 'Observation:subject' },
});
assert.deepEqual(withSubjects.entry.map((e) => e.search.mode).sort(), ['include', 'match']);
const system = await client.systemSearch({
  searchParams: { _type: 'Patient,Observation', _lastUpdated: 'gt2020', _count: 3 },
});
assert.equal(system.entry.filter((e) => e.search.mode === 'match').length, 3);

const subject = withSubjects.entry.find((e) => e.search.mode === 'match').resource.subject;
const resolved = await client.resolve({ reference: subject.reference });
assert.equal(resolved.id, made[1].id);

const batch = await client.batch({
  body: {
    resourceType: 'Bundle',
    type: 'batch',
    entry: [
      { request: { method: 'GET', url: `Patient/${made[2].id}` } },
      { request: { method: 'GET', url: `Patient?family=Kit${run}&_summary=count` } },
      { request: { method: 'GET', url: 'Patient/not-there' } },
    ],
  },
});
assert.deepEqual(batch.entry.map((e) => e.response.status.slice(0, 3)), ['200', '200', '404']);

const ofOne = await client.resourceHistory({ resourceType: 'Patient', id: read.id });
assert.deepEqual(ofOne.entry.map((e) => e.request.method), ['PATCH', 'PUT', 'POST']);
assert.equal((await client.typeHistory({ resourceType: 'Patient' })).type, 'history');
assert.equal((await client.systemHistory()).type, 'history');

const conditional = await client.update({
  resourceType: 'Patient',
  searchParams: { identifier: `urn:kit|${run}-4` },
  body: { resourceType: 'Patient', identifier: [{ system: 'urn:kit', value: `${run}-4` }] },
});
assert.equal(conditional.id, made[4].id);

const valid = await client.operation({
  name: 'validate',
  resourceType: 'Patient',
  input: { resourceType: 'Patient', gender: 'female' },
});
assert.equal(valid.resourceType, 'OperationOutcome');
const everything = await client.operation({
  name: 'everything',
  resourceType: 'Patient',
  id: made[1].id,
  method: 'GET',
});
assert.equal(everything.entry.filter((e) => e.resource.resourceType === 'Condition').length, 1);

await client.delete({ resourceType: 'Patient', id: made[3].id });
await assert.rejects(client.read({ resourceType: 'Patient', id: made[3].id }), (failure) => {
  assert.equal(failure.response.status, 410);
  assert.equal(failure.response.data.resourceType, 'OperationOutcome');
  return true;
});
