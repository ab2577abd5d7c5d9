// SPDX-License-Identifier: Apache-2.0
// The engine judged by dockerode, Node's client. usage: node dockerode.js TEST   (see dockerode.bats)
'use strict';
const assert = require('assert');
const fs = require('fs');
const { PassThrough } = require('stream');
const Docker = require('dockerode');
const docker = new Docker({ socketPath: process.env.SOCK });
const made = [];

async function create(cmd, more = {}) {
	const c = await docker.createContainer({ Image: 'default', Cmd: cmd, ...more,
		HostConfig: { NetworkMode: 'none', ...more.HostConfig } });
	made.push(c);
	return c;
}
const text = (stream) => new Promise((done, fail) => {
	const parts = [];
	stream.on('data', (d) => parts.push(d)).on('end', () => done(Buffer.concat(parts).toString())).on('error', fail);
});
// Both streams of a multiplexed one, as dockerode takes them apart.
async function demux(stream) {
	const out = new PassThrough(), err = new PassThrough();
	docker.modem.demuxStream(stream, out, err);
	stream.on('end', () => { out.end(); err.end(); });
	stream.on('close', () => { out.end(); err.end(); });
	return Promise.all([text(out), text(err)]);
}
const lines = (stream, enough) => new Promise((done, fail) => {
	const found = [];
	let rest = '';
	stream.on('error', fail).on('end', () => done(found)).on('data', (d) => {
		rest += d;
		for (let at; (at = rest.indexOf('\n')) >= 0; rest = rest.slice(at + 1)) {
			found.push(JSON.parse(rest.slice(0, at)));
			if (enough(found)) {
				stream.destroy();
				done(found);
			}
		}
	});
});
const follow = (stream) => new Promise((done, fail) =>
	docker.modem.followProgress(stream, (e, all) => (e ? fail(e) : done(all))));
async function refused(promise, status, message) {
	try {
		await promise;
	} catch (e) {
		assert.strictEqual(e.statusCode, status, e.message);
		assert.match(e.message, message);
		return;
	}
	assert.fail('was not refused');
}
// The tar archive of one file.
function tar(name, content) {
	const head = Buffer.alloc(512), body = Buffer.alloc(Math.ceil(content.length / 512) * 512);
	head.write(name, 0);
	head.write(['0000644', '0000000', '0000000', ''].join('\0'), 100);
	head.write(content.length.toString(8).padStart(11, '0') + '\x00', 124);
	head.write('00000000000\x00        0', 136);
	head.write('ustar\x0000', 257);
	body.write(content);
	let sum = 0;
	for (const b of head) sum += b;
	head.write(sum.toString(8).padStart(6, '0') + '\x00 ', 148);
	return Buffer.concat([head, body, Buffer.alloc(1024)]);
}

const tests = {
	async life() {
		const c = await create(['sh', '-c', 'trap "exit 5" TERM; sleep 1000 & wait'], { name: 'life', Labels: { a: 'b' } });
		await c.start();
		await refused(c.start(), 304, /already started|not modified/i);
		assert.strictEqual((await c.inspect()).State.Status, 'running');
		await c.pause();
		assert.strictEqual((await c.inspect()).State.Status, 'paused');
		await c.unpause();
		const top = await c.top({ ps_args: '-o pid,args' });
		assert.deepStrictEqual(top.Titles, ['PID', 'COMMAND']);
		assert.ok(top.Processes.some((p) => /sleep 1000/.test(p[1])));
		await c.rename({ name: 'lived' });
		assert.strictEqual((await docker.listContainers({ filters: { label: ['a=b'] } }))[0].Names[0], '/lived');
		await c.update({ Memory: 64 << 20, MemorySwap: 64 << 20 });
		assert.strictEqual((await c.inspect()).HostConfig.Memory, 64 << 20);
		const waited = c.wait({ condition: 'not-running' });
		await c.stop({ t: 5 });
		assert.strictEqual((await waited).StatusCode, 5);
		await c.restart({ t: 0 });
		await c.kill({ signal: 'KILL' });
		assert.strictEqual((await c.wait()).StatusCode, 137);
		await c.remove({ v: true });
		await refused(c.inspect(), 404, /No such container/);
		await refused(docker.createContainer({ Image: 'nothing:here' }), 404, /No such image/);
	},
	async attach() {
		for (const hijack of [true, false]) {
			const c = await create(['cat'], { OpenStdin: true, StdinOnce: true });
			const stream = await c.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack });
			await c.start();
			const answer = demux(stream);
			const waited = c.wait();
			stream.write('hello ' + hijack + '\n');
			if (hijack) {
				stream.end();
				assert.strictEqual((await answer)[0], 'hello true\n');
			} else {
				// Without upgrade dockerode cannot close its half: look at the log, then kill.
				for (;;) {
					const log = await c.logs({ stdout: true });
					if (log.toString().includes('hello false')) break;
					await new Promise((r) => setTimeout(r, 20));
				}
				await c.kill();
				assert.strictEqual((await answer)[0], 'hello false\n');
			}
			assert.strictEqual((await waited).StatusCode, hijack ? 0 : 137);
		}
		const c = await create(['sh', '-c', 'echo out; echo err >&2']);
		const both = demux(await c.attach({ stream: true, stdout: true, stderr: true }));
		await c.start();
		assert.deepStrictEqual(await both, ['out\n', 'err\n']);
		await refused(docker.getContainer('nobody').attach({ stream: true, stdout: true }), 404, /No such container/);
	},
	async terminal() {
		const c = await create(['sh', '-c', 'read x; stty size; echo got $x; exit 3'], { Tty: true, OpenStdin: true });
		const stream = await c.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true });
		await c.start();
		await c.resize({ h: 33, w: 99 });
		const all = text(stream);
		stream.write('words\n');
		assert.match(await all, /33 99\r\ngot words\r\n/);
		assert.strictEqual((await c.wait()).StatusCode, 3);
	},
	async run() {
		const out = new PassThrough();
		const all = text(out);
		/* run calls back by wait, which says nothing of the stream: both must be over */
		let ended;
		const [data, c] = await new Promise((done, fail) => {
			const hub = docker.run('default', ['sh', '-c', 'echo run; exit 4'], out,
				{ Tty: false, HostConfig: { NetworkMode: 'none' } }, (err, d, box) => (err ? fail(err) : done([d, box])));
			hub.on('stream', (s) => { ended = new Promise((end) => s.on('end', end)); });
		});
		made.push(c);
		assert.strictEqual(data.StatusCode, 4);
		await ended;
		out.end();
		assert.match(await all, /run\n/);
	},
	async exec() {
		const c = await create(['sleep', '1000']);
		await c.start();
		let e = await c.exec({ Cmd: ['sh', '-c', 'echo out; echo err >&2; exit 7'], AttachStdout: true, AttachStderr: true });
		assert.deepStrictEqual(await demux(await e.start({})), ['out\n', 'err\n']);
		assert.strictEqual((await e.inspect()).ExitCode, 7);
		e = await c.exec({ Cmd: ['wc', '-c'], AttachStdin: true, AttachStdout: true });
		let s = await e.start({ hijack: true, stdin: true });
		const counted = demux(s);
		s.end('x'.repeat(300000));
		assert.strictEqual((await counted)[0].trim(), '300000');
		e = await c.exec({ Cmd: ['sh'], AttachStdin: true, AttachStdout: true, Tty: true, Env: ['A=1'], WorkingDir: '/tmp' });
		s = await e.start({ hijack: true, stdin: true, Tty: true });
		await e.resize({ h: 20, w: 70 });
		const shell = text(s);
		s.write('stty size; echo $A $PWD; exit\n');
		assert.match(await shell, /20 70\r\n1 \/tmp\r\n/);
		e = await c.exec({ Cmd: ['cat'], AttachStdin: true, AttachStdout: true });
		s = await e.start({ stdin: true });
		s.write('no upgrade\n');
		await new Promise((r) => s.once('data', (d) => { assert.ok(d.includes('no upgrade')); r(); }));
		s.destroy();
		e = await c.exec({ Cmd: ['true'] });
		await e.start({ Detach: true });
		await refused(docker.getExec('nothing').inspect(), 404, /No such exec/);
		await refused(c.exec({ Cmd: [] }), 400, /No exec command/);
	},
	async logs() {
		const c = await create(['sh', '-c', 'echo one; echo bad >&2; read x; echo two'], { OpenStdin: true });
		const input = await c.attach({ stream: true, stdin: true, hijack: true });
		await c.start();
		const followed = demux(await c.logs({ follow: true, stdout: true, stderr: true }));
		input.end('go\n');
		assert.deepStrictEqual(await followed, ['one\ntwo\n', 'bad\n']);
		const tail = await c.logs({ stdout: true, timestamps: true });
		assert.match(tail.toString(), /\d{4}-[^ ]*Z two\n$/);
		await refused(c.logs({}), 400, /at least one stream/);
	},
	async events() {
		const since = Math.floor(Date.now() / 1000);
		const live = await docker.getEvents({ filters: { type: ['container'], label: ['judge=dockerode'] } });
		const found = lines(live, (all) => all.some((e) => e.Action === 'destroy'));
		const c = await create(['true'], { Labels: { judge: 'dockerode' } });
		await c.start();
		await c.wait();
		await c.remove();
		const actions = (await found).map((e) => e.Action);
		assert.deepStrictEqual(actions, ['create', 'start', 'die', 'destroy']);
		const past = await lines(await docker.getEvents({ since, until: Math.floor(Date.now() / 1000) + 1,
			filters: { label: ['judge=dockerode'] } }), () => false);
		assert.deepStrictEqual(past.map((e) => e.Action), actions);
		assert.strictEqual(past[0].Actor.ID, c.id);
	},
	async stats() {
		const c = await create(['sleep', '1000']);
		await c.start();
		const one = await c.stats({ stream: false });
		assert.ok(one.memory_stats.usage > 0 && one.pids_stats.current === 1 && one.precpu_stats.cpu_usage);
		const two = await lines(await c.stats(), (all) => all.length === 2);
		assert.ok(two[1].cpu_stats.system_cpu_usage > two[0].cpu_stats.system_cpu_usage);
		assert.strictEqual(two[1].precpu_stats.system_cpu_usage, two[0].cpu_stats.system_cpu_usage);
	},
	async files() {
		const c = await create(['sleep', '1000']);
		await c.putArchive(tar('put.txt', 'from outside\n'), { path: '/tmp' });
		const out = (await text(await c.getArchive({ path: '/tmp/put.txt' })));
		assert.ok(out.startsWith('put.txt') && out.includes('from outside\n'));
		const info = await c.infoArchive({ path: '/tmp/put.txt' });
		const stat = JSON.parse(Buffer.from(info.headers['x-docker-container-path-stat'], 'base64'));
		assert.strictEqual(stat.name + stat.size, 'put.txt13');
		info.resume?.();
		assert.deepStrictEqual((await c.changes()).filter((x) => x.Path === '/tmp/put.txt'), [{ Path: '/tmp/put.txt', Kind: 1 }]);
		assert.ok((await text(await c.export())).includes('tmp/put.txt'));
		await refused(c.getArchive({ path: '/none' }), 404, /Could not find the file \/none/);
		const image = await c.commit({ repo: 'judged', tag: '1', changes: 'ENV NEW=yes', comment: 'text' });
		const seen = await docker.getImage('judged:1').inspect();
		assert.strictEqual(seen.Id, image.Id);
		assert.ok(seen.Config.Env.includes('NEW=yes') && seen.Comment === 'text');
		const d = await docker.createContainer({ Image: 'judged:1', Cmd: ['cat', '/tmp/put.txt'], HostConfig: { NetworkMode: 'none' } });
		made.push(d);
		const all = demux(await d.attach({ stream: true, stdout: true }));
		await d.start();
		assert.strictEqual((await all)[0], 'from outside\n');
	},
	async images() {
		const name = process.env.REG + '/node/box';
		await docker.getImage('default').tag({ repo: name, tag: 'v1' });
		const pushed = await follow(await docker.getImage(name).push({ tag: 'v1', authconfig: { username: 'u', password: 'p' } }));
		assert.ok(pushed.some((l) => l.aux && l.aux.Tag === 'v1') && pushed[0].status.startsWith('The push refers to'));
		const removed = await docker.getImage(name + ':v1').remove();
		assert.deepStrictEqual(removed[0], { Untagged: name + ':v1' });
		const pulled = await follow(await docker.pull(name + ':v1'));
		assert.match(pulled.at(-1).status, /^Status: /);
		assert.strictEqual((await docker.listImages({ filters: { reference: [name] } })).length, 1);
		assert.ok((await docker.getImage(name + ':v1').history()).length >= 1);
		const archive = process.env.HOME_DIR + '/node.tar';
		const get = await docker.getImage(name + ':v1').get();
		await new Promise((r, f) => get.pipe(fs.createWriteStream(archive)).on('finish', r).on('error', f));
		await docker.getImage(name + ':v1').remove();
		const loaded = await follow(await docker.loadImage(archive));
		assert.ok(loaded.some((l) => (l.stream || '').includes('Loaded image: ' + name + ':v1')));
		await docker.getImage(name + ':v1').remove();
		const empty = await follow(await docker.importImage(Buffer.from(tar('f', 'x')), { repo: 'imported', tag: 'x' }));
		assert.match(empty.at(-1).status, /^sha256:/);
		await assert.rejects(docker.pull(process.env.REG + '/node/none:1').then(follow), /not found|unknown/i);
		const never = await follow(await docker.getImage(process.env.REG + '/never:1').push({}));
		assert.match(never.at(-1).error, /does not exist locally/);
		await docker.getImage('imported:x').remove();
		await docker.pruneImages();
	},
	async volumes() {
		const v = await docker.createVolume({ Name: 'node', Labels: { from: 'node' } });
		assert.strictEqual(v.name ?? v.Name, 'node');
		const c = await create(['sh', '-c', 'echo kept >/data/f'], { HostConfig: { Binds: ['node:/data'] } });
		await c.start();
		assert.strictEqual((await c.wait()).StatusCode, 0);
		await refused(docker.getVolume('node').remove(), 409, /volume is in use/);
		await c.remove();
		const list = await docker.listVolumes({ filters: { label: ['from=node'] } });
		assert.deepStrictEqual(list.Volumes.map((x) => x.Name), ['node']);
		const seen = await docker.getVolume('node').inspect();
		assert.strictEqual(fs.readFileSync(seen.Mountpoint + '/f', 'utf8'), 'kept\n');
		await docker.getVolume('node').remove();
		await refused(docker.getVolume('node').inspect(), 404, /no such volume/);
		await docker.pruneVolumes();
	},
	async system() {
		assert.strictEqual((await docker.ping()).toString(), 'OK');
		assert.ok((await docker.version()).ApiVersion);
		const info = await docker.info();
		assert.ok(info.NCPU >= 1 && info.Driver === 'overlay2');
		const df = await docker.df();
		assert.ok(Array.isArray(df.Images) && Array.isArray(df.Containers));
		const c = await create(['true'], { Labels: { prune: 'me' } });
		const pruned = await docker.pruneContainers({ filters: { label: ['prune=me'] } });
		assert.deepStrictEqual(pruned.ContainersDeleted, [c.id]);
	},
};

(async () => {
	const name = process.argv[2];
	let failed;
	const watchdog = setTimeout(() => { console.error(name + ': nothing came for a minute'); process.exit(1); }, 60000);
	try {
		await tests[name]();
	} catch (e) {
		failed = e;
	}
	for (const c of made) await c.remove({ force: true, v: true }).catch(() => {});
	clearTimeout(watchdog);
	if (failed) console.error(failed);
	process.exit(failed ? 1 : 0);
})();
